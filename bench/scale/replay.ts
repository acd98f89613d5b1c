import {
  archiveReserveSeconds,
  lambdaTimeoutSeconds,
  stagePatience,
  stageReserveSeconds,
  stageWait,
} from "../../lib/core/durations.ts";
import type { Run, StageRequest, TaskRequest, ValidateRequest } from "../../lib/core/run.ts";
import { archiveFragments } from "../../lib/steps/archive-fragments.ts";
import { closeBatch } from "../../lib/steps/close-batch.ts";
import { commitBatch } from "../../lib/steps/commit-batch.ts";
import type { ValidateAnswer } from "../../lib/steps/plan-load.ts";
import { stageFragments } from "../../lib/steps/stage-fragments.ts";
import { validateBatch } from "../../lib/steps/validate-batch.ts";
import type { VirtualClock } from "./clock.ts";
import { type Costs, type Work, workOf } from "./durations.ts";
import type { Gate } from "./gate.ts";
import type { World } from "./world.ts";

/**
 * The steps of a load in simulated time. Each takes as long as it was recorded to take, and then really runs: the
 * planner always, and the others on fragments of one record, so that the ledger is what it would be.
 */

export type Batch = {
  readonly batchId: string;
  readonly fragments: number;
  readonly recordsPerFragment: number;
  /** Of each fragment. */
  readonly bytes: number;
  /** Seconds of simulated time. */
  readonly approvedAt: number;
  readonly startsAt: number;
};

/** One execution under way. */
export type Flight = {
  readonly batch: Batch;
  /** Seconds that the machine waits before it asks the planner again. */
  pause: number;
  /** How often the machine has waited for its environment. */
  rounds: number;
  polls: number;
  admittedAt: number | null;
  committedAt: number | null;
  /** Fragments that no worker has taken, and those that are not staged. */
  free: number;
  open: number;
  /** Workers that are not done. */
  live: number;
  /** Seconds that a worker waits before it looks again: the shortest wait, which makes the most events. */
  readonly waits: Map<number, number>;
  toArchive: number;
};

export type Stage = {
  readonly clock: VirtualClock;
  readonly world: World;
  readonly costs: Costs;
  /** The processors of the database. */
  readonly processors: Gate;
  /** Runs a real step, at the simulated time. */
  readonly real: <T>(step: () => Promise<T>) => Promise<T>;
  /** False where only the planner runs for real: then one batch has the database for itself. */
  readonly effects: boolean;
};

/** An answer, and whether the thread that got it ends with it. */
export type Answered = { readonly answer: object; readonly ends: boolean };
const goesOn = (answer: object): Answered => ({ answer, ends: false });

/** Time left for a real step, which takes none of the simulation's. */
const deadline = (): number => Date.now() + lambdaTimeoutSeconds * 1000;

export async function spend({ clock, processors }: Stage, { lambda, database }: Work): Promise<void> {
  if (lambda > 0) await clock.sleep(lambda);
  if (database <= 0) return;
  await processors.enter();
  await clock.sleep(database);
  processors.exit();
}

const recordsOf = ({ fragments, recordsPerFragment }: Batch): number => fragments * recordsPerFragment;

export async function validate(stage: Stage, flight: Flight, event: ValidateRequest): Promise<Answered> {
  const { clock, costs, world, real } = stage;
  const { batch } = flight;
  flight.polls += 1;
  await spend(stage, workOf(costs["validate-batch"], batch.fragments, recordsOf(batch)));
  const answer: ValidateAnswer = await real(() => validateBatch(world.ports, event));
  if (answer.next === "later") flight.pause = answer.waitSeconds ?? 0;
  if (answer.next === "stage") {
    flight.admittedAt = clock.now();
    flight.free = batch.fragments;
    flight.open = batch.fragments;
    flight.toArchive = batch.fragments;
    flight.live = answer.workers.length;
    clock.fork(flight.live - 1);
  }
  return goesOn(answer);
}

/** As in the step itself: a worker does not begin what it could not end, and has some patience with the others. */
const look = stagePatience.lookMilliseconds / 1000;

export async function stageItems(stage: Stage, flight: Flight, event: StageRequest): Promise<Answered> {
  const { clock, costs, world, real, effects } = stage;
  const { run, worker } = event;
  const { batch } = flight;
  const each = workOf({ ...costs["stage-fragments"], base: nothing }, 1, batch.recordsPerFragment);
  const end = clock.now() + lambdaTimeoutSeconds - stageReserveSeconds;
  await spend(stage, costs["stage-fragments"].base);
  while (flight.free > 0) {
    if (clock.now() >= end) {
      await real(() => world.ports.claims.renew(run as Run));
      return goesOn({ next: "more", worker });
    }
    flight.free -= 1;
    await spend(stage, each);
    flight.open -= 1;
  }
  for (let waited = 0; flight.open > 0 && waited < stagePatience.seconds; waited += look) await clock.sleep(look);
  if (flight.open > 0) {
    flight.waits.set(worker, stageWait.firstSeconds);
    return goesOn({ next: "wait", worker });
  }
  flight.live -= 1;
  if (flight.live > 0) return { answer: { next: "done", worker }, ends: true };
  return goesOn(effects ? await real(() => stageFragments(world.ports, event, deadline())) : { next: "done", worker });
}

const nothing: Work = { lambda: 0, database: 0 };

export async function commit(stage: Stage, flight: Flight, event: TaskRequest): Promise<Answered> {
  const { costs, world, real, effects, clock } = stage;
  const { batch } = flight;
  await spend(stage, workOf(costs["commit-batch"], batch.fragments, recordsOf(batch)));
  const answer = effects ? await real(() => commitBatch(world.ports, event, deadline())) : { next: "committed" };
  flight.committedAt = clock.now();
  return goesOn(answer);
}

const fragmentsAtOnce = 50;

export async function archive(stage: Stage, flight: Flight, event: TaskRequest): Promise<Answered> {
  const { clock, costs, world, real, effects } = stage;
  const cost = costs["archive-fragments"];
  const end = clock.now() + lambdaTimeoutSeconds - archiveReserveSeconds;
  await spend(stage, cost.base);
  while (flight.toArchive > 0) {
    if (clock.now() >= end) {
      if (effects) await real(() => world.ports.claims.renew(event.run as Run));
      return goesOn({ next: "more" });
    }
    const moved = Math.min(fragmentsAtOnce, flight.toArchive);
    await spend(stage, workOf({ ...cost, base: nothing }, moved, moved * flight.batch.recordsPerFragment));
    flight.toArchive -= moved;
  }
  return goesOn(effects ? await real(() => archiveFragments(world.ports, event, deadline())) : { next: "done" });
}

export async function close(stage: Stage, flight: Flight, event: TaskRequest): Promise<Answered> {
  const { costs, world, real, effects } = stage;
  const { batch } = flight;
  await spend(stage, workOf(costs["close-batch"], batch.fragments, recordsOf(batch)));
  const answer = effects ? await real(() => closeBatch(world.ports, event)) : { next: "closed", result: notReported };
  return goesOn(answer);
}

/** Where nothing takes effect, there is nothing to report but what the machine reads. */
const notReported = { status: "success", code: "", message: "", notice: "simulated" };
