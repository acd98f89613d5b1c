import { StateMachine } from "aws-local-stepfunctions";
import { blockedWait, throttledWait } from "../../lib/core/durations.ts";
import { type TaskState, taskStates } from "../../lib/core/machine.ts";
import { functionSizes, type HandlerName } from "../../lib/infra/capacity.ts";
import { createPauseOverrides, createTaskHandlers, type Definition } from "../../lib/local/interpreter.ts";
import type { LambdaFunction } from "../../lib/local/lambda.ts";
import { openRandom } from "../../lib/local/sample/values.ts";
import { type Gate, openClock, openGate, type VirtualClock } from "./clock.ts";
import { type History, type Logged, openHistory } from "./history.ts";
import type { Durations } from "./recording.ts";
import {
  type Answered,
  archive,
  type Batch,
  close,
  commit,
  type Execution,
  type StepContext,
  stageItems,
  validate,
} from "./replay.ts";
import { dataset, dateAt, openWorld, type World, type WorldOptions } from "./world.ts";

/** The synthesized machine and the real planner, over many batches, in simulated time. */

export type SimulationOptions = WorldOptions & {
  readonly definition: Definition;
  readonly durations: Durations;
  readonly batches: readonly Batch[];
  /** Number of the database's processors. */
  readonly processors: number;
  /** False if only the planner runs for real. @default true */
  readonly effects?: boolean;
  /** Reserved concurrency in place of the deployed one. @default none */
  readonly reserved?: Partial<Record<HandlerName, number>>;
};

export type EndedExecution = Pick<Execution, "batch" | "polls" | "admittedAt" | "committedAt"> & {
  readonly status: "succeeded" | "failed";
  readonly output: unknown;
  readonly endedAt: number;
  readonly history: History;
};

export type Outcome = {
  readonly executions: readonly EndedExecution[];
  /** Rows in the target: one for each fragment that took effect. */
  readonly rows: number;
  /** Share of the places taken on average, by function and of the database's processors. */
  readonly usage: Readonly<Record<string, number>>;
  readonly mostConnections: number;
  /** Growth of the ledger. */
  readonly ledgerBytes: number;
};

export async function simulate(options: SimulationOptions): Promise<Outcome> {
  const world = await openWorld(options);
  try {
    return await run(world, options);
  } finally {
    await world.close();
  }
}

type Simulation = StepContext & {
  readonly gates: Readonly<Record<string, Gate>>;
  readonly executions: Map<string, Execution>;
  readonly refusals: Map<string, number>;
  readonly chance: () => number;
};

async function run(world: World, options: SimulationOptions): Promise<Outcome> {
  const { batches, definition } = options;
  const before = await world.ledgerBytes();
  await deliver(world, batches);
  const clock = openClock();
  let mostConnections = 0;
  const gates = openGates(clock, options);
  const connections = (): number => Object.values(gates).reduce((sum, gate) => sum + gate.taken(), 0);
  const simulation: Simulation = {
    ...{ clock, world, gates, durations: options.durations, effects: options.effects ?? true },
    ...{ processors: openGate(clock, options.processors), executions: new Map(), refusals: new Map() },
    chance: chanceOf(batches.length),
    real: async (step) => {
      mostConnections = Math.max(mostConnections, connections());
      await world.set({ seconds: clock.now(), connections: connections() });
      return step();
    },
  };
  const start = openExecutions(simulation, definition);
  const ending = batches.map((batch) => {
    const { promise, resolve } = Promise.withResolvers<EndedExecution>();
    clock.begin(batch.startsAt, () => void start(batch).then(resolve));
    return promise;
  });
  clock.leave();
  const executions = await ended(ending, clock);
  const ledgerBytes = (await world.ledgerBytes()) - before;
  return { executions, rows: await world.rows(), usage: usageOf(simulation), mostConnections, ledgerBytes };
}

/** @throws Error if executions wait for each other for ever */
function ended(ending: readonly Promise<EndedExecution>[], { finished }: VirtualClock): Promise<EndedExecution[]> {
  const stuck = finished.then(async () => {
    // An execution that has ended says so in a microtask.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    throw new Error("simulation: every thread waits for another one");
  });
  return Promise.race([Promise.all(ending), stuck]) as Promise<EndedExecution[]>;
}

async function deliver({ sql, bucket }: World, batches: readonly Batch[]): Promise<void> {
  for (const { batchId, fragments, bytes, approvedAt, startsAt } of batches) {
    bucket.stage({ batchId, table: dataset.table, fragments, bytes, at: dateAt(Math.min(approvedAt, startsAt) - 1) });
    await sql`
      insert into validation_queue (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
      values (${batchId}, ${dataset.table}, 'validated', true, 'simulation', ${dateAt(approvedAt).toISOString()})`;
  }
}

/** The reserved concurrency of the deployment; stage and commit have the shares that the planner deals out. */
function openGates(clock: VirtualClock, options: SimulationOptions): Record<string, Gate> {
  const { maxWorkers, maxLoads, reserved } = options;
  const given: SimulationOptions["reserved"] = {
    "stage-fragments": maxWorkers,
    "commit-batch": maxLoads,
    ...reserved,
  };
  const handlers = Object.values(taskStates);
  return Object.fromEntries(
    handlers.map((name) => [name, openGate(clock, given[name] ?? functionSizes[name].connections ?? 0)]),
  );
}

function chanceOf(seed: number): () => number {
  const random = openRandom(seed);
  return () => random.int(0, 999_999) / 1_000_000;
}

type Step = (context: StepContext, execution: Execution, event: never) => Promise<Answered>;

const steps: Readonly<Record<Exclude<TaskState, "FailBatch" | "RollbackBatch">, Step>> = {
  ValidateBatch: validate,
  StageFragments: stageItems,
  CommitBatch: commit,
  ArchiveFragments: archive,
  CloseBatch: close,
};

function openExecutions(simulation: Simulation, definition: Definition) {
  const functions = Object.entries(taskStates).map(([state, name]) => [state, toFunction(simulation, state, name)]);
  const overrides = {
    taskResourceLocalHandlers: createTaskHandlers(definition, { functions: Object.fromEntries(functions) }),
    // The next handler that is called sleeps in place of the Wait state.
    ...createPauseOverrides(definition, { waitMilliseconds: 0, retryMilliseconds: 0 }),
  };
  const machine = new StateMachine(definition as never, { validationOptions: { noValidate: true } });
  return async (batch: Batch): Promise<EndedExecution> => {
    const { clock, executions } = simulation;
    const arn = `arn:aws:states:us-east-1:000000000000:execution:LoadBatch:${batch.batchId}`;
    const execution = openExecution(batch);
    executions.set(arn, execution);
    const running = machine.run(
      { batchId: batch.batchId, source: "arrival" } as never,
      { overrides, context: { Execution: { Id: arn, Name: batch.batchId } } } as never,
    );
    const history = openHistory(definition);
    const logs = (async () => {
      for await (const logged of running.eventLogs) history.add(logged as Logged);
    })();
    const result = await running.result.then(
      (output) => ({ status: "succeeded" as const, output: output as unknown }),
      (error: unknown) => ({ status: "failed" as const, output: String((error as Error).cause ?? error) }),
    );
    const endedAt = clock.now();
    clock.leave();
    await logs;
    return { ...execution, ...result, endedAt, history: history.total() };
  };
}

function openExecution(batch: Batch): Execution {
  const counts = { pause: 0, rounds: 0, polls: 0, free: 0, open: 0, live: 0, toArchive: 0 };
  return { batch, ...counts, admittedAt: null, committedAt: null, waits: new Map() };
}

/** Lambda's answer to more invocations at a time than the function may have. */
class TooManyRequests extends Error {
  override readonly name = "Lambda.TooManyRequestsException";
}

type Event = { readonly execution: string; readonly worker?: number; readonly rounds?: number };

function toFunction(simulation: Simulation, state: string, name: HandlerName): LambdaFunction {
  const { gates, clock, executions } = simulation;
  const step = steps[state as keyof typeof steps] as Step | undefined;
  const gate = gates[name] as Gate;
  const handler = async (event: unknown): Promise<object> => {
    const { execution: arn, worker = 0 } = event as Event;
    const execution = executions.get(arn);
    if (!execution || !step) throw new Error(`simulation: ${state} was not expected to run`);
    await waitBefore(simulation, execution, event as Event);
    if (!gate.tryEnter()) return refuse(simulation, `${arn} ${state} ${worker}`);
    simulation.refusals.delete(`${arn} ${state} ${worker}`);
    const { answer, ends } = await step(simulation, execution, event as never).finally(gate.exit);
    if (ends) clock.leave();
    return answer;
  };
  return { name, handler };
}

/** Sleeps as long as the machine's Wait states would have waited. */
async function waitBefore({ clock }: Simulation, execution: Execution, { worker, rounds = 0 }: Event): Promise<void> {
  if (worker !== undefined) {
    const seconds = execution.waits.get(worker) ?? 0;
    execution.waits.delete(worker);
    if (seconds > 0) await clock.sleep(seconds);
    return;
  }
  const seconds = execution.pause;
  execution.pause = 0;
  if (seconds > 0) await clock.sleep(seconds);
  else if (rounds > execution.rounds) await clock.sleep(blockedSeconds(rounds));
  execution.rounds = Math.max(execution.rounds, rounds);
}

const blockedSeconds = (round: number): number =>
  Math.min(blockedWait.longestSeconds, blockedWait.firstSeconds * 2 ** (round - 1));

/** Sleeps as the machine's retrier does, with full jitter. */
async function refuse({ clock, refusals, chance }: Simulation, who: string): Promise<never> {
  const times = refusals.get(who) ?? 0;
  refusals.set(who, times + 1);
  const { firstSeconds, growth, longestSeconds } = throttledWait;
  await clock.sleep(chance() * Math.min(longestSeconds, firstSeconds * growth ** times));
  throw new TooManyRequests("rate exceeded");
}

function usageOf({ gates, processors }: Simulation): Record<string, number> {
  const shares = Object.entries(gates).map(([name, gate]) => [name, gate.usage()]);
  return { ...Object.fromEntries(shares), database: processors.usage() };
}
