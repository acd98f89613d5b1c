import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { StateMachine } from "aws-local-stepfunctions";
import { machineName } from "../core/machine.ts";
import {
  type ExecutionRecord,
  type MachineEvent,
  type MachineEventType,
  toFailure,
  toSuccess,
} from "./execution-record.ts";
import type { LambdaFunction } from "./lambda.ts";
import {
  createPauseOverrides,
  createTaskHandlers,
  type Notice,
  type Pauses,
  type TaskHandler,
} from "./machine-tasks.ts";
import { localAccount } from "./object-event.ts";
import { parseDefinition } from "./state-machine-language.ts";

export type MachineOptions = {
  /** The synthesized machine, in Amazon States Language. */
  readonly definition: unknown;
  /** The function of each state that runs one, by the state's name. */
  readonly functions: Readonly<Record<string, LambdaFunction>>;
  /** @default us-east-1 */
  readonly region?: string;
  readonly pauses?: Pauses;
  readonly onEvent?: (event: MachineEvent) => void;
  /** Gets what the machine's SNS tasks would send. */
  readonly onNotice?: (notice: Notice) => void;
};

export type LocalMachine = {
  readonly arn: string;
  /** Starts an execution; `input` is JSON text. A name may be used once; the endpoint guards that. */
  start(name: string, input: string): ExecutionRecord;
  find(executionArn: string): ExecutionRecord | null;
  list(): ExecutionRecord[];
  /** The record as it is when the execution has ended. */
  settle(executionArn: string): Promise<ExecutionRecord>;
  stop(executionArn: string, reason?: { readonly error: string | null; readonly cause: string | null }): Promise<void>;
  /** Aborts what runs, and waits a while for handlers in the middle of their work. */
  close(): Promise<void>;
};

type Running = { record: ExecutionRecord; states: string[]; abort: () => void; ended: Promise<void> };
type StateMachineInput = ConstructorParameters<typeof StateMachine>[0];
type RunInput = Parameters<StateMachine["run"]>[0];
type RunOptions = NonNullable<Parameters<StateMachine["run"]>[1]>;

/** How long `close` waits for a handler that is in the middle of its work. */
const closeWaitMilliseconds = 10_000;

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
      await Promise.race([interpreter.idle(), pause(closeWaitMilliseconds, undefined, { ref: false })]);
    },
  };
}

type Run = ReturnType<StateMachine["run"]>;
type Interpreter = { run(execution: ExecutionRecord): Run; idle(): Promise<unknown> };

function openInterpreter(options: MachineOptions): Interpreter {
  const definition = parseDefinition(options.definition);
  // Its ARNs stand for functions that are nowhere; asl-validator judges the machine in the infra tests.
  const validationOptions = { noValidate: true };
  const machine = new StateMachine(definition as unknown as StateMachineInput, { validationOptions });
  const busy = new Set<Promise<unknown>>();
  const overrides = {
    taskResourceLocalHandlers: trackAll(createTaskHandlers(definition, options), busy),
    ...createPauseOverrides(definition, options.pauses ?? {}),
  } as NonNullable<RunOptions["overrides"]>;
  return {
    run({ arn, machineArn: Id, name, input, startDate }) {
      const Execution = { Id: arn, Name: name, StartTime: startDate.toISOString() };
      const context = { Execution, StateMachine: { Id, Name: machineName } };
      return machine.run(JSON.parse(input) as RunInput, { overrides, context });
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

/** Keeps the record up to date until the execution has ended and its last event is told. */
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

/** A name for an execution that nobody named. */
export function randomExecutionName(): string {
  return randomUUID();
}
