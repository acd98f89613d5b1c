import { createHash, randomUUID } from "node:crypto";
import { glob, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { StateMachine } from "aws-local-stepfunctions";
import { localCloseSeconds } from "../core/durations.ts";
import type { ExecutionStatus } from "../core/execution.ts";
import { machineName, type TaskState, taskStates } from "../core/machine.ts";
import { invokeLambda, type LambdaFunction } from "./lambda.ts";
import { localAccount } from "./object-event.ts";

/** The synthesized state machine, interpreted on this computer with the deployed handlers. */

export type MachineOptions = {
  /** The synthesized machine, in Amazon States Language. */
  readonly definition: unknown;
  /** The function of each task state, by the state's name. */
  readonly functions: Readonly<Record<string, LambdaFunction>>;
  /** @default us-east-1 */
  readonly region?: string;
  readonly pauses?: Pauses;
  readonly onEvent?: (event: MachineEvent) => void;
  /** Receives what the machine's SNS tasks would send. */
  readonly onNotice?: (notice: Notice) => void;
};

export type LocalMachine = {
  readonly arn: string;
  /** Starts an execution; `input` is JSON text. The endpoint sees to it that a name is used once. */
  start(name: string, input: string): ExecutionRecord;
  find(executionArn: string): ExecutionRecord | null;
  list(): ExecutionRecord[];
  /** Resolves to the record when the execution has ended. */
  settle(executionArn: string): Promise<ExecutionRecord>;
  stop(executionArn: string, reason?: { readonly error: string | null; readonly cause: string | null }): Promise<void>;
  /** Aborts all executions, and waits up to 10 s for handlers in the middle of their work. */
  close(): Promise<void>;
};

export type Pauses = {
  /** Milliseconds that every Wait state takes. @default as the machine says */
  readonly waitMilliseconds?: number;
  /** Milliseconds before every retry. @default as the machine says */
  readonly retryMilliseconds?: number;
};

type MachineEventType = "entered" | "exited" | "failed" | "retried" | "caught";

/** One step of an execution, for progress and for tests. */
export type MachineEvent = {
  readonly executionArn: string;
  readonly executionName: string;
  readonly type: MachineEventType;
  readonly state: string;
  /** Index in the Map's items; null outside a Map. */
  readonly item: number | null;
  /** Name of the error of the step; null if it had none. */
  readonly error: string | null;
  readonly at: Date;
};

export type ExecutionRecord = {
  readonly name: string;
  readonly arn: string;
  readonly machineArn: string;
  /** JSON text, as it was given. */
  readonly input: string;
  readonly status: ExecutionStatus;
  /** JSON text; null unless the execution succeeded. */
  readonly output: string | null;
  readonly error: string | null;
  readonly cause: string | null;
  readonly startDate: Date;
  readonly stopDate: Date | null;
  /** Names of the states, in the order in which they were entered. */
  readonly states: readonly string[];
};

/** The message of an SNS task of the machine. */
export type Notice = { readonly state: string; readonly message: unknown };

type Running = { record: ExecutionRecord; states: string[]; abort: () => void; ended: Promise<void> };
type StateMachineInput = ConstructorParameters<typeof StateMachine>[0];
const eventTypes: Readonly<Record<string, MachineEventType>> = {
  StateEntered: "entered",
  StateExited: "exited",
  StateFailed: "failed",
  StateRetried: "retried",
  StateCaught: "caught",
};

export function machineArn(region: string): string {
  return `arn:aws:states:${region}:${localAccount}:stateMachine:${machineName}`;
}

/** A name for an execution that was started without one. */
export function randomExecutionName(): string {
  return randomUUID();
}

/** Interprets the synthesized machine with the deployed handlers. Its executions are kept in memory. */
export function openMachine(options: MachineOptions): LocalMachine {
  const arn = machineArn(options.region ?? "us-east-1");
  const interpreter = openInterpreter(options);
  const executions = new Map<string, Running>();

  const start = (name: string, input: string): ExecutionRecord => {
    const running = begin(name, arn, input);
    const run = interpreter.run(running.record);
    executions.set(running.record.arn, running);
    running.abort = run.abort;
    running.ended = follow(running, run, options.onEvent);
    return running.record;
  };
  const settle = async (executionArn: string): Promise<ExecutionRecord> => {
    const running = executions.get(executionArn);
    if (!running) throw new Error(`LOCAL_EXECUTION_UNKNOWN: there is no execution ${executionArn}`);
    await running.ended;
    return running.record;
  };
  return {
    arn,
    start,
    settle,
    find: (executionArn) => executions.get(executionArn)?.record ?? null,
    list: () => [...executions.values()].map(({ record }) => record),
    async stop(executionArn, reason) {
      const running = executions.get(executionArn);
      running?.abort();
      await running?.ended;
      if (running && reason && running.record.status === "ABORTED") running.record = { ...running.record, ...reason };
    },
    async close() {
      for (const { abort } of executions.values()) abort();
      await Promise.all([...executions.values()].map(({ ended }) => ended));
      await Promise.race([interpreter.idle(), pause(localCloseSeconds * 1000, undefined, { ref: false })]);
    },
  };
}

type Run = ReturnType<StateMachine["run"]>;
type Interpreter = { run(execution: ExecutionRecord): Run; idle(): Promise<unknown> };

function openInterpreter(options: MachineOptions): Interpreter {
  const definition = parseDefinition(options.definition);
  // Its ARNs name no real functions; the infra tests validate the machine with asl-validator.
  const validationOptions = { noValidate: true };
  const machine = new StateMachine(definition as unknown as StateMachineInput, { validationOptions });
  const busy = new Set<Promise<unknown>>();
  const overrides = {
    taskResourceLocalHandlers: trackAll(createTaskHandlers(definition, options), busy),
    ...createPauseOverrides(definition, options.pauses ?? {}),
  } as NonNullable<NonNullable<Parameters<StateMachine["run"]>[1]>["overrides"]>;
  return {
    run({ arn, machineArn: Id, name, input, startDate }) {
      const Execution = { Id: arn, Name: name, StartTime: startDate.toISOString() };
      const context = { Execution, StateMachine: { Id, Name: machineName } };
      return machine.run(JSON.parse(input) as Parameters<StateMachine["run"]>[0], { overrides, context });
    },
    idle: () => Promise.allSettled(busy),
  };
}

function begin(name: string, machineArn: string, input: string): Running {
  const states: string[] = [];
  const record: ExecutionRecord = {
    name,
    arn: `${machineArn.replace(":stateMachine:", ":execution:")}:${name}`,
    machineArn,
    input,
    status: "RUNNING",
    output: null,
    error: null,
    cause: null,
    startDate: new Date(),
    stopDate: null,
    states,
  };
  return { record, states, abort: () => {}, ended: Promise.resolve() };
}

/** Keeps the record up to date until the execution has ended and its last event is passed on. */
async function follow(running: Running, run: Run, onEvent: MachineOptions["onEvent"]): Promise<void> {
  const outcome = run.result.then(toSuccess, toFailure);
  for await (const logged of run.eventLogs) {
    const type = eventTypes[logged.type];
    if (type === undefined || !("state" in logged)) continue;
    const { name: state } = logged.state;
    if (type === "entered") running.states.push(state);
    const { arn: executionArn, name: executionName } = running.record;
    const item = logged.index ?? null;
    const error = "Error" in logged ? String(logged.Error) : null;
    onEvent?.({ executionArn, executionName, type, state, item, error, at: new Date(logged.timestamp) });
  }
  running.record = { ...running.record, ...(await outcome), stopDate: new Date() };
}

type Outcome = Pick<ExecutionRecord, "status" | "output" | "error" | "cause">;

function toSuccess(output: unknown): Outcome {
  return { status: "SUCCEEDED", output: JSON.stringify(output ?? null), error: null, cause: null };
}

/** Reads what the interpreter throws: an ExecutionError whose cause is named like the Error of Step Functions. */
function toFailure(thrown: unknown): Outcome {
  const { name, message, cause } = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (name === "ExecutionAbortedError") return { status: "ABORTED", output: null, error: null, cause: null };
  if (name === "ExecutionTimeoutError") {
    return { status: "TIMED_OUT", output: null, error: "States.Timeout", cause: message };
  }
  const fault = cause instanceof Error ? cause : { name, message };
  return { status: "FAILED", output: null, error: fault.name, cause: fault.message };
}

function trackAll(handlers: Record<string, TaskHandler>, busy: Set<Promise<unknown>>): Record<string, TaskHandler> {
  const track =
    (handler: TaskHandler): TaskHandler =>
    (input) => {
      const work = handler(input);
      busy.add(work);
      const forget = (): boolean => busy.delete(work);
      work.then(forget, forget);
      return work;
    };
  return Object.fromEntries(Object.entries(handlers).map(([state, handler]) => [state, track(handler)]));
}

/** Bytes of UTF-8 that a state may take or answer. */
const payloadLimit = 256 * 1024;

/** An error that is neither retried nor caught, as on AWS; the interpreter reads the two flags. */
class DataLimitExceeded extends Error {
  override name = "States.DataLimitExceeded";
  readonly isRetryable = false;
  readonly isCatchable = false;
}

type TaskHandler = (input: unknown) => Promise<unknown>;
type TaskOptions = Pick<MachineOptions, "functions" | "onNotice">;

/** A local function for each Task state: the deployed handlers, and a notice for all other calls. */
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
    const file = `functions/${taskStates[state as TaskState]}.ts`;
    throw new Error(`LOCAL_MACHINE_HANDLER: state ${state} has no handler; expected ${file}`);
  }
  return async (input) => {
    onNotice?.({ state, message: (input as { Message?: unknown } | null)?.Message ?? input });
    return { MessageId: "local" };
  };
}

function checkSize(state: string, payload: unknown): void {
  const size = Buffer.byteLength(JSON.stringify(payload) ?? "");
  if (size <= payloadLimit) return;
  throw new DataLimitExceeded(`state ${state}: payload has ${size} bytes, expected at most ${payloadLimit}`);
}

/** Overrides of the interpreter that set the time of waits and retries. */
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

/** Amazon States Language, as far as a local run reads it. */
export type State = {
  readonly Type: string;
  readonly Resource?: string;
  readonly ItemProcessor?: Definition;
  readonly Iterator?: Definition;
  readonly Branches?: readonly Definition[];
};

export type Definition = { readonly StartAt: string; readonly States: Readonly<Record<string, State>> };

/** @throws Error LOCAL_MACHINE_DEFINITION if the value is no state machine */
function parseDefinition(value: unknown): Definition {
  if (typeof value === "object" && value !== null && "StartAt" in value && "States" in value)
    return value as Definition;
  throw new Error("LOCAL_MACHINE_DEFINITION: expected an object with StartAt and States, got something else");
}

/** Every state with its name, including those inside Map and Parallel states. */
export function listStates(definition: Definition): [name: string, state: State][] {
  return Object.entries(definition.States).flatMap(([name, state]) => [
    [name, state] as [string, State],
    ...[state.ItemProcessor, state.Iterator, ...(state.Branches ?? [])].flatMap((inner) =>
      inner ? listStates(inner) : [],
    ),
  ]);
}

const project = fileURLToPath(new URL("../../", import.meta.url));
/** Files that the synthesized machine is made from. */
const sources = ["lib/infra/**/*.ts", "lib/core/**/*.ts", "package-lock.json"];

/** Synthesizes the machine, or reads it from a file if its sources are unchanged: the synthesis takes 3 s. */
export async function readMachineDefinition(cacheDirectory: string): Promise<unknown> {
  const file = join(cacheDirectory, `machine-${await hashSources()}.json`);
  const kept = await readFile(file, "utf8").catch(() => null);
  if (kept !== null) return JSON.parse(kept);
  const { synthesizeMachine } = await import("../infra/synthesize-machine.ts");
  const { definition } = synthesizeMachine();
  await mkdir(cacheDirectory, { recursive: true });
  await writeFile(`${file}.${process.pid}`, JSON.stringify(definition));
  await rename(`${file}.${process.pid}`, file);
  return definition;
}

async function hashSources(): Promise<string> {
  const files: string[] = [];
  for await (const file of glob(sources, { cwd: project })) files.push(file);
  const hash = createHash("sha256");
  for (const file of files.sort()) hash.update(file).update(await readFile(join(project, file)));
  return hash.digest("hex").slice(0, 16);
}

/** Folder in which a checkout keeps it for all its temporary environments and test runs. */
export const sharedCacheDirectory = join(project, "node_modules", ".cache", "table-loader");
