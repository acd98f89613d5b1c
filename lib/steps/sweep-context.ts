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

/** The ports and the context that the parts of a sweep share. */

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

/** The sweep that is running. */
export type SweepContext = {
  readonly ports: SweepPorts;
  /** Milliseconds since the epoch, from when on nothing new may be begun. */
  readonly end: number;
  /** Batches that this sweep started. */
  readonly started: string[];
  readonly healed: Partial<Record<HealingKind, number>>;
  /** Errors of single batches, thrown at the end so that the other batches are looked at first. */
  readonly faults: unknown[];
};

export const isOver = ({ ports, end }: SweepContext): boolean => ports.now() >= end;

/** Keeps the error of one part or one batch for the end of the sweep. */
export async function guarded(context: SweepContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    context.faults.push(error);
  }
}

/**
 * Starts an execution for the batch; false if one is on its way already. The name stays the same until the batch is
 * claimed; an execution that found the batch busy has counted a wake, and the next sweep starts another. If one of that
 * name has succeeded, the database was restored since, so that the next free name is taken.
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
