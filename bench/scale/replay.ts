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
import type { Gate, VirtualClock } from "./clock.ts";
import { type Durations, noWork, type Work, workOf } from "./recording.ts";
import type { World } from "./world.ts";

/**
 * The steps of a load in simulated time. Each takes as long as it was recorded to take, and then really runs: the
 * planner always, and the others on fragments of one record, so that the ledger grows as it would.
 */

export type Batch = {
  readonly batchId: string;
  readonly fragments: number;
  readonly recordsPerFragment: number;
  /** Size of each fragment. */
  readonly bytes: number;
  /** Seconds of simulated time. */
  readonly approvedAt: number;
  readonly startsAt: number;
};

/** State of one running execution. */
export type Execution = {
  readonly batch: Batch;
  /** Seconds for which the machine waits before it asks the planner again. */
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

export type StepContext = {
  readonly clock: VirtualClock;
  readonly world: World;
  readonly durations: Durations;
  /** The processors of the database. */
  readonly processors: Gate;
  /** Runs a real step, at the simulated time. */
  readonly real: <T>(step: () => Promise<T>) => Promise<T>;
  /** False if only the planner runs for real: then one batch has the database for itself. */
  readonly effects: boolean;
};

/** An answer, and whether its thread ends with it. */
export type Answered = { readonly answer: object; readonly ends: boolean };
const goesOn = (answer: object): Answered => ({ answer, ends: false });

/** Time left for a real step, which takes none of the simulation's. */
const deadline = (): number => Date.now() + lambdaTimeoutSeconds * 1000;

async function spend({ clock, processors }: StepContext, { lambda, database }: Work): Promise<void> {
  if (lambda > 0) await clock.sleep(lambda);
  if (database <= 0) return;
  await processors.enter();
  await clock.sleep(database);
  processors.exit();
}

const recordsOf = ({ fragments, recordsPerFragment }: Batch): number => fragments * recordsPerFragment;

export async function validate(context: StepContext, execution: Execution, event: ValidateRequest): Promise<Answered> {
  const { clock, durations, world, real } = context;
  const { batch } = execution;
  execution.polls += 1;
  await spend(context, workOf(durations["validate-batch"], batch.fragments, recordsOf(batch)));
  const answer: ValidateAnswer = await real(() => validateBatch(world.ports, event));
  if (answer.next === "later") execution.pause = answer.waitSeconds ?? 0;
  if (answer.next === "stage") {
    execution.admittedAt = clock.now();
    execution.free = batch.fragments;
    execution.open = batch.fragments;
    execution.toArchive = batch.fragments;
    execution.live = answer.workers.length;
    clock.fork(execution.live - 1);
  }
  return goesOn(answer);
}

/** The same limits as in the step: a worker begins no fragment that it could not end, and waits a little for the others. */
const look = stagePatience.lookMilliseconds / 1000;

export async function stageItems(context: StepContext, execution: Execution, event: StageRequest): Promise<Answered> {
  const { clock, durations, world, real, effects } = context;
  const { run, worker } = event;
  const { batch } = execution;
  const each = workOf({ ...durations["stage-fragments"], base: noWork }, 1, batch.recordsPerFragment);
  const end = clock.now() + lambdaTimeoutSeconds - stageReserveSeconds;
  await spend(context, durations["stage-fragments"].base);
  while (execution.free > 0) {
    if (clock.now() >= end) {
      await real(() => world.ports.claims.renew(run as Run));
      return goesOn({ next: "more", worker });
    }
    execution.free -= 1;
    await spend(context, each);
    execution.open -= 1;
  }
  for (let waited = 0; execution.open > 0 && waited < stagePatience.seconds; waited += look) await clock.sleep(look);
  if (execution.open > 0) {
    execution.waits.set(worker, stageWait.firstSeconds);
    return goesOn({ next: "wait", worker });
  }
  execution.live -= 1;
  if (execution.live > 0) return { answer: { next: "done", worker }, ends: true };
  return goesOn(effects ? await real(() => stageFragments(world.ports, event, deadline())) : { next: "done", worker });
}

export async function commit(context: StepContext, execution: Execution, event: TaskRequest): Promise<Answered> {
  const { durations, world, real, effects, clock } = context;
  const { batch } = execution;
  await spend(context, workOf(durations["commit-batch"], batch.fragments, recordsOf(batch)));
  const answer = effects ? await real(() => commitBatch(world.ports, event, deadline())) : { next: "committed" };
  execution.committedAt = clock.now();
  return goesOn(answer);
}

const fragmentsAtOnce = 50;

export async function archive(context: StepContext, execution: Execution, event: TaskRequest): Promise<Answered> {
  const { clock, durations, world, real, effects } = context;
  const cost = durations["archive-fragments"];
  const end = clock.now() + lambdaTimeoutSeconds - archiveReserveSeconds;
  await spend(context, cost.base);
  while (execution.toArchive > 0) {
    if (clock.now() >= end) {
      if (effects) await real(() => world.ports.claims.renew(event.run as Run));
      return goesOn({ next: "more" });
    }
    const moved = Math.min(fragmentsAtOnce, execution.toArchive);
    await spend(context, workOf({ ...cost, base: noWork }, moved, moved * execution.batch.recordsPerFragment));
    execution.toArchive -= moved;
  }
  return goesOn(effects ? await real(() => archiveFragments(world.ports, event, deadline())) : { next: "done" });
}

export async function close(context: StepContext, execution: Execution, event: TaskRequest): Promise<Answered> {
  const { durations, world, real, effects } = context;
  const { batch } = execution;
  await spend(context, workOf(durations["close-batch"], batch.fragments, recordsOf(batch)));
  const answer = effects ? await real(() => closeBatch(world.ports, event)) : { next: "closed", result: notReported };
  return goesOn(answer);
}

/** Without effects there is no report; the machine reads these fields. */
const notReported = { status: "success", code: "", message: "", notice: "simulated" };
