import { type Executions, executionInput } from "../core/execution.ts";
import type { ObjectStore, ObjectUploads } from "../core/objects.ts";
import type { BatchRecords, ContractStore, Gauges, Log } from "../core/ports.ts";
import type {
  Healing,
  HealingKind,
  HeldBatches,
  Leftovers,
  Retention,
  Sweeps,
  UncommittedObjects,
} from "../core/sweep-ports.ts";

/** What the parts of a sweep share. */

export type SweepPorts = {
  readonly sweeps: Sweeps;
  readonly heldBatches: HeldBatches;
  readonly uncommitted: UncommittedObjects;
  readonly leftovers: Leftovers;
  readonly records: BatchRecords;
  readonly contracts: ContractStore;
  readonly store: ObjectStore;
  readonly uploads: ObjectUploads;
  readonly executions: Pick<Executions, "start" | "find">;
  readonly log: Log;
  readonly gauges: Gauges;
  readonly newId: () => string;
  readonly now: () => number;
  readonly settings: Retention & {
    readonly batchIdPattern: RegExp;
    readonly requireApproval: boolean;
    readonly leaseSeconds: number;
  };
};

/** One sweep, as its parts see it. */
export type SweepContext = {
  readonly ports: SweepPorts;
  /** From when on nothing new may be begun, in milliseconds since the epoch. */
  readonly end: number;
  /** Batches that this sweep started. */
  readonly started: string[];
  readonly healed: Partial<Record<HealingKind, number>>;
  /** What went wrong with single batches, thrown at the end: the others are looked at first. */
  readonly faults: unknown[];
};

export const isOver = ({ ports, end }: SweepContext): boolean => ports.now() >= end;

/** What is wrong with one part or one batch is kept for the end. */
export async function guarded(context: SweepContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    context.faults.push(error);
  }
}

/**
 * The name repeats as long as nobody has claimed the batch since, so that an execution that is on its way is enough;
 * one that found the batch busy has counted a wake, and the next sweep starts another. One of the name that has
 * succeeded belongs to another life of the database, which was restored since.
 */
export async function start({ ports, started }: SweepContext, batchId: string, visits: number): Promise<boolean> {
  const input = executionInput.parse({ batchId, source: "sweep" });
  const name = `${batchId}-sweep-${visits}`;
  const { executionArn, duplicate } = await ports.executions.start(name, input, { again: true });
  ports.log.info("sweep started a batch", { batchId, executionArn, duplicate });
  started.push(batchId);
  return !duplicate;
}

export async function record({ ports, healed }: SweepContext, healing: Healing): Promise<void> {
  await ports.sweeps.record(healing);
  healed[healing.kind] = (healed[healing.kind] ?? 0) + 1;
  const { batchId, kind, detail } = healing;
  ports.log.info("sweep healed", { batchId, kind, detail });
}
