import { StateMachine } from "aws-local-stepfunctions";
import { blockedWait, throttledWait } from "../../lib/core/durations.ts";
import { type TaskState, taskStates } from "../../lib/core/machine.ts";
import { functionSizes, type HandlerName } from "../../lib/infra/capacity.ts";
import { createPauseOverrides, createTaskHandlers, type Definition } from "../../lib/local/interpreter.ts";
import type { LambdaFunction } from "../../lib/local/lambda.ts";
import { openRandom } from "../../lib/local/sample/values.ts";
import { openClock, type VirtualClock } from "./clock.ts";
import type { Costs } from "./durations.ts";
import { type Gate, openGate } from "./gate.ts";
import { type History, type Logged, openHistory } from "./history.ts";
import {
  type Answered,
  archive,
  type Batch,
  close,
  commit,
  type Flight,
  type Stage,
  stageItems,
  validate,
} from "./replay.ts";
import { dataset, dateAt, openWorld, type World, type WorldOptions } from "./world.ts";

/** The synthesized machine and the real planner, over many batches, in simulated time. */

export type SimulationOptions = WorldOptions & {
  readonly definition: Definition;
  readonly costs: Costs;
  readonly batches: readonly Batch[];
  /** Of the database. */
  readonly processors: number;
  /** False where only the planner runs for real. @default true */
  readonly effects?: boolean;
  /** Reserved concurrency in place of the deployed one. @default none */
  readonly reserved?: Partial<Record<HandlerName, number>>;
};

export type Ended = Pick<Flight, "batch" | "polls" | "admittedAt" | "committedAt"> & {
  readonly status: "succeeded" | "failed";
  readonly output: unknown;
  readonly endedAt: number;
  readonly history: History;
};

export type Outcome = {
  readonly executions: readonly Ended[];
  /** Rows in the target: one for each fragment that took effect. */
  readonly rows: number;
  /** Share of the places taken on average, by function and of the database's processors. */
  readonly usage: Readonly<Record<string, number>>;
  readonly mostConnections: number;
  /** By which the ledger grew. */
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

type Simulation = Stage & {
  readonly gates: Readonly<Record<string, Gate>>;
  readonly flights: Map<string, Flight>;
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
    ...{ clock, world, gates, costs: options.costs, effects: options.effects ?? true },
    ...{ processors: openGate(clock, options.processors), flights: new Map(), refusals: new Map() },
    chance: chanceOf(batches.length),
    real: async (step) => {
      mostConnections = Math.max(mostConnections, connections());
      await world.set({ seconds: clock.now(), connections: connections() });
      return step();
    },
  };
  const start = openExecutions(simulation, definition);
  const ending = batches.map((batch) => {
    const { promise, resolve } = Promise.withResolvers<Ended>();
    clock.begin(batch.startsAt, () => void start(batch).then(resolve));
    return promise;
  });
  clock.leave();
  const executions = await ended(ending, clock);
  const ledgerBytes = (await world.ledgerBytes()) - before;
  return { executions, rows: await world.rows(), usage: usageOf(simulation), mostConnections, ledgerBytes };
}

/** @throws Error where executions wait for each other for ever */
function ended(ending: readonly Promise<Ended>[], { finished }: VirtualClock): Promise<Ended[]> {
  const stuck = finished.then(async () => {
    // those that have ended say so in a microtask
    await new Promise((resolve) => setTimeout(resolve, 1000));
    throw new Error("simulation: every thread waits for another one");
  });
  return Promise.race([Promise.all(ending), stuck]) as Promise<Ended[]>;
}

async function deliver({ sql, bucket }: World, batches: readonly Batch[]): Promise<void> {
  for (const { batchId, fragments, bytes, approvedAt, startsAt } of batches) {
    bucket.stage({ batchId, table: dataset.table, fragments, bytes, at: dateAt(Math.min(approvedAt, startsAt) - 1) });
    await sql`
      insert into validation_queue (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
      values (${batchId}, ${dataset.table}, 'validated', true, 'simulation', ${dateAt(approvedAt).toISOString()})`;
  }
}

/** The reserved concurrency of the deployment; stage and commit have what the planner deals out. */
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

type Step = (stage: Stage, flight: Flight, event: never) => Promise<Answered>;

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
    // what the machine waits for is slept by whoever is called next
    ...createPauseOverrides(definition, { waitMilliseconds: 0, retryMilliseconds: 0 }),
  };
  const machine = new StateMachine(definition as never, { validationOptions: { noValidate: true } });
  return async (batch: Batch): Promise<Ended> => {
    const { clock, flights } = simulation;
    const execution = `arn:aws:states:us-east-1:000000000000:execution:LoadBatch:${batch.batchId}`;
    const flight = openFlight(batch);
    flights.set(execution, flight);
    const running = machine.run(
      { batchId: batch.batchId, source: "arrival" } as never,
      { overrides, context: { Execution: { Id: execution, Name: batch.batchId } } } as never,
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
    return { ...flight, ...result, endedAt, history: history.total() };
  };
}

function openFlight(batch: Batch): Flight {
  const counts = { pause: 0, rounds: 0, polls: 0, free: 0, open: 0, live: 0, toArchive: 0 };
  return { batch, ...counts, admittedAt: null, committedAt: null, waits: new Map() };
}

/** Lambda's answer to more invocations at a time than the function may have. */
class TooManyRequests extends Error {
  override readonly name = "Lambda.TooManyRequestsException";
}

type Event = { readonly execution: string; readonly worker?: number; readonly rounds?: number };

function toFunction(simulation: Simulation, state: string, name: HandlerName): LambdaFunction {
  const { gates, clock, flights } = simulation;
  const step = steps[state as keyof typeof steps] as Step | undefined;
  const gate = gates[name] as Gate;
  const handler = async (event: unknown): Promise<object> => {
    const { execution, worker = 0 } = event as Event;
    const flight = flights.get(execution);
    if (!flight || !step) throw new Error(`simulation: ${state} was not expected to run`);
    await waitBefore(simulation, flight, event as Event);
    if (!gate.tryEnter()) return refuse(simulation, `${execution} ${state} ${worker}`);
    simulation.refusals.delete(`${execution} ${state} ${worker}`);
    const { answer, ends } = await step(simulation, flight, event as never).finally(gate.exit);
    if (ends) clock.leave();
    return answer;
  };
  return { name, handler };
}

/** What the machine's Wait states would have waited. */
async function waitBefore({ clock }: Simulation, flight: Flight, { worker, rounds = 0 }: Event): Promise<void> {
  if (worker !== undefined) {
    const seconds = flight.waits.get(worker) ?? 0;
    flight.waits.delete(worker);
    if (seconds > 0) await clock.sleep(seconds);
    return;
  }
  const seconds = flight.pause;
  flight.pause = 0;
  if (seconds > 0) await clock.sleep(seconds);
  else if (rounds > flight.rounds) await clock.sleep(blockedSeconds(rounds));
  flight.rounds = Math.max(flight.rounds, rounds);
}

const blockedSeconds = (round: number): number =>
  Math.min(blockedWait.longestSeconds, blockedWait.firstSeconds * 2 ** (round - 1));

/** As the machine's retrier does it, with full jitter. */
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
