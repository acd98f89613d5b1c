import { ExecutionError, StateMachine } from "aws-local-stepfunctions";
import { noticeStates, type TaskState, taskStates, waitStates } from "../../../lib/core/machine.ts";
import { synthesizeMachine } from "../../../lib/infra/synthesize-machine.ts";

type Payload = Record<string, unknown>;
/** An answer, an error to throw, or a function of the payload; a list is taken in turn, its last one for ever. */
export type Step = Payload | Error | ((payload: Payload) => unknown);
export type Script = Partial<Record<TaskState | Notice, Step | Step[]>>;

type Notice = (typeof noticeStates)[keyof typeof noticeStates];

export type Outcome = {
  readonly output: unknown;
  /** `Error: Cause` of a failed execution. */
  readonly failure: string | null;
  /** State names in the order in which they were entered. */
  readonly visited: readonly string[];
  /** Seconds that each BlockedWait would have taken. */
  readonly waits: readonly number[];
  readonly payloads: Readonly<Record<string, Payload[]>>;
};

export const executionId = "arn:aws:states:us-east-1:000000000000:execution:LoadBatch:one";

const definition = synthesizeMachine().definition;
const machine = new StateMachine(definition as ConstructorParameters<typeof StateMachine>[0]);

/** Runs the synthesized machine with scripted tasks and without its waits. */
export async function runMachine(
  script: Script,
  input: Payload = { batchId: "batch_20250101_000000" },
): Promise<Outcome> {
  const payloads: Record<string, Payload[]> = {};
  const tasks = [...Object.keys(taskStates), ...Object.values(noticeStates)];
  const handlers = tasks.map((state) => [state, scriptedTask(state, script, payloads)]);
  const execution = machine.run(input as never, {
    overrides: {
      taskResourceLocalHandlers: Object.fromEntries(handlers),
      waitTimeOverrides: Object.fromEntries(Object.values(waitStates).map((state) => [state, 0])),
      retryIntervalOverrides: Object.fromEntries(tasks.map((state) => [state, 0])),
    },
    context: { Execution: { Id: executionId } },
  });
  const visited: string[] = [];
  const waits: number[] = [];
  const watched = (async () => {
    for await (const event of execution.eventLogs) {
      if (event.type !== "StateEntered") continue;
      visited.push(event.state.name);
      if (event.state.name === waitStates.blocked)
        waits.push((event.state.input as { waitSeconds: number }).waitSeconds);
    }
  })();
  const ended = await execution.result.then(
    (output) => ({ output: output as unknown, failure: null }),
    (error: unknown) => ({ output: null, failure: failureOf(error) }),
  );
  await watched;
  return { ...ended, visited, waits, payloads };
}

export function fault(name: string, message = `CODE: ${name}`): Error {
  return Object.assign(new Error(message), { name });
}

function scriptedTask(state: string, script: Script, payloads: Record<string, Payload[]>) {
  const calls: Payload[] = [];
  payloads[state] = calls;
  return async (payload: unknown) => {
    const unexpected = isNotice(state) ? {} : fault("BlockedError", `UNEXPECTED: ${state} was called`);
    const steps = [script[state as keyof Script] ?? unexpected].flat();
    const step = steps[Math.min(calls.length, steps.length - 1)] as Step;
    calls.push(payload as Payload);
    if (step instanceof Error) throw step;
    return (typeof step === "function" ? await step(payload as Payload) : step) as never;
  };
}

const isNotice = (state: string): boolean => Object.values<string>(noticeStates).includes(state);

function failureOf(error: unknown): string {
  const cause = error instanceof ExecutionError ? error.cause : error;
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
}
