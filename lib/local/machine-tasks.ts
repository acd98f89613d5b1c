import { type TaskState, taskStates } from "../core/machine.ts";
import { invokeLambda, type LambdaFunction } from "./lambda.ts";
import { type Definition, listStates } from "./state-machine-language.ts";

/** What an SNS task of the machine would have sent. */
export type Notice = { readonly state: string; readonly message: unknown };

export type TaskOptions = {
  /** The function of each state that runs one. */
  readonly functions: Readonly<Record<string, LambdaFunction>>;
  /** Gets what the machine's SNS tasks would send. */
  readonly onNotice?: (notice: Notice) => void;
};

export type Pauses = {
  /** Milliseconds that every Wait state takes; undefined: as long as the machine says. */
  readonly waitMilliseconds?: number;
  /** Milliseconds before every retry; undefined: as long as the machine says. */
  readonly retryMilliseconds?: number;
};

/** The size of what a state may take or answer, in bytes of UTF-8. */
const payloadLimit = 256 * 1024;

/** An error that no catcher and no retrier takes, as on AWS; the interpreter asks these two members. */
class DataLimitExceeded extends Error {
  override name = "States.DataLimitExceeded";
  readonly isRetryable = false;
  readonly isCatchable = false;
}

export type TaskHandler = (input: unknown) => Promise<unknown>;

/** A local function for each Task state: our handlers, and a notice for whatever else the machine calls. */
export function createTaskHandlers(definition: Definition, options: TaskOptions): Record<string, TaskHandler> {
  const tasks = listStates(definition).filter(([, state]) => state.Type === "Task");
  return Object.fromEntries(tasks.map(([state]) => [state, createTaskHandler(state, options)]));
}

function createTaskHandler(state: string, { functions, onNotice }: TaskOptions): TaskHandler {
  const lambda = functions[state];
  if (lambda) {
    return async (input) => {
      checkSize(state, input);
      const answer = await invokeLambda(lambda, input);
      checkSize(state, answer);
      return answer;
    };
  }
  if (state in taskStates) {
    throw new Error(
      `LOCAL_MACHINE_HANDLER: state ${state} has no handler; expected ${handlerFile(state as TaskState)}`,
    );
  }
  return async (input) => {
    onNotice?.({ state, message: (input as { Message?: unknown } | null)?.Message ?? input });
    return { MessageId: "local" };
  };
}

function handlerFile(state: TaskState): string {
  return `functions/${taskStates[state]}.ts`;
}

function checkSize(state: string, payload: unknown): void {
  const size = Buffer.byteLength(JSON.stringify(payload) ?? "");
  if (size <= payloadLimit) return;
  throw new DataLimitExceeded(`state ${state}: payload has ${size} bytes, expected at most ${payloadLimit}`);
}

/** The interpreter's overrides that shorten waits and retries. */
export function createPauseOverrides(definition: Definition, pauses: Pauses): object {
  const states = listStates(definition);
  const all = (names: string[], milliseconds: number | undefined): Record<string, number> =>
    milliseconds === undefined ? {} : Object.fromEntries(names.map((name) => [name, milliseconds]));
  const waits = states.filter(([, state]) => state.Type === "Wait").map(([name]) => name);
  const retried = states.filter(([, state]) => "Retry" in state).map(([name]) => name);
  return {
    waitTimeOverrides: all(waits, pauses.waitMilliseconds),
    retryIntervalOverrides: all(retried, pauses.retryMilliseconds),
  };
}
