import { BlockedError, type LoaderError, TransientError } from "./errors.ts";
import type { otherFunctions, TaskState, taskStates } from "./machine.ts";
import type { LoadResult } from "./report.ts";

/**
 * Every metric of the loader: emitters, alarms, dashboard and docs/reference/metrics.md use this list. No value of a
 * record is ever a metric or a dimension: dimensions have the names below as values, and nothing that data could
 * multiply.
 */

type Emitter = (typeof taskStates)[TaskState] | (typeof otherFunctions)[number] | "every state" | "every function";

export type Metric = {
  /** As CloudWatch spells it. */
  readonly unit: "Count" | "Count/Second" | "Seconds" | "Percent" | "Bytes" | "Megabytes";
  /** `service` is a dimension of all metrics; `task` adds the name of the function. */
  readonly by: "service" | "task";
  /** The functions that emit it. */
  readonly from: readonly Emitter[];
  readonly meaning: string;
};

const everyTask = ["every function"] as const;
const closing = { by: "service", from: ["close-batch"] } as const;
const staging = { by: "service", from: ["stage-fragments"] } as const;
const sweeping = { by: "service", from: ["sweep"] } as const;

export const metricCatalog = {
  BatchesLoaded: { ...closing, unit: "Count", meaning: "batches that were loaded" },
  BatchesFailed: { ...closing, unit: "Count", meaning: "batches that failed by their own fault" },
  LoadSeconds: { ...closing, unit: "Seconds", meaning: "a load from its first claim to its end" },
  RecordsPerSecond: { ...closing, unit: "Count/Second", meaning: "records of a load by the seconds that it took" },
  RecordsInserted: { ...closing, unit: "Count", meaning: "records that became new rows" },
  RecordsUpdated: { ...closing, unit: "Count", meaning: "records that changed a row" },
  RecordsUnchanged: { ...closing, unit: "Count", meaning: "records that say what their row says already" },
  RecordsSkipped: { ...closing, unit: "Count", meaning: "records that the contract or a failed batch left out" },
  RecordsCollapsed: { ...closing, unit: "Count", meaning: "records that repeat another one of their batch" },
  RecordsDeleted: { ...closing, unit: "Count", meaning: "records that deleted a row" },
  RecordsRejected: { ...closing, unit: "Count", meaning: "records with a reason why they cannot be loaded" },
  StagedRecords: { ...staging, unit: "Count", meaning: "records by which the checkpoints moved on" },
  StagedBytes: { ...staging, unit: "Bytes", meaning: "bytes of fragments by which the checkpoints moved on" },
  StagedRecordsPerSecond: { ...staging, unit: "Count/Second", meaning: "records that one worker stages in a second" },
  SecondsSinceCheckpoint: { ...sweeping, unit: "Seconds", meaning: "how long the stillest load has not moved" },
  BatchesWaiting: { ...sweeping, unit: "Count", meaning: "batches that are not approved or not complete" },
  BatchesInLine: { ...sweeping, unit: "Count", meaning: "batches that are ready and wait for their turn" },
  WorkItemsPending: { ...sweeping, unit: "Count", meaning: "fragments of running loads that are not staged yet" },
  StalledLoads: { ...sweeping, unit: "Count", meaning: "loads that have not moved for five minutes" },
  BlockedLoads: {
    by: "service",
    unit: "Count",
    from: ["sweep", "every state"],
    meaning: "loads that wait for their environment",
  },
  ContractsInvalid: {
    by: "service",
    unit: "Count",
    from: ["sweep", "validate-batch"],
    meaning: "1 where the newest table contracts cannot be used",
  },
  ConnectionsUsed: {
    by: "service",
    unit: "Percent",
    from: ["sweep", "every function"],
    meaning: "connections of the server in use, of max_connections; 100 where it refused one for want of room",
  },
  Deadlocks: { ...sweeping, unit: "Count", meaning: "deadlocks in the database since the last sweep" },
  Sweeps: { ...sweeping, unit: "Count", meaning: "sweeps that have looked at all loads" },
  Retries: { by: "service", unit: "Count", from: everyTask, meaning: "invocations that ended in a fault that passes" },
  MemoryUsed: { by: "service", unit: "Percent", from: everyTask, meaning: "most memory held, of the function's" },
  MemoryMegabytes: { by: "task", unit: "Megabytes", from: everyTask, meaning: "most memory held by the function" },
  TaskSeconds: { by: "task", unit: "Seconds", from: everyTask, meaning: "an invocation from start to end" },
  ColdStarts: { by: "task", unit: "Count", from: everyTask, meaning: "invocations that had to start a new process" },
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricName = keyof typeof metricCatalog;

/** Measured values by metric. */
export type Measures = Partial<Readonly<Record<MetricName, number>>>;

/** Measures of a load that was closed. */
export function measuresOfResult(result: LoadResult): Measures {
  const failed = result.status === "failed";
  const seconds = result.total_time_seconds;
  return {
    ...(failed ? { BatchesFailed: 1 } : { BatchesLoaded: 1 }),
    LoadSeconds: seconds,
    ...(seconds > 0 && { RecordsPerSecond: result.records_read / seconds }),
    RecordsInserted: result.records_loaded,
    RecordsUpdated: result.records_updated,
    RecordsUnchanged: result.records_unchanged,
    RecordsSkipped: result.records_skipped,
    RecordsCollapsed: result.records_collapsed,
    RecordsDeleted: result.records_deleted,
    RecordsRejected: result.records_failed,
  };
}

/** Measures that a fault gives by itself, even if nothing else can count: a full server admits no sweep. */
export function measuresOfFault(fault: LoaderError, { blocking }: { readonly blocking: boolean }): Measures {
  return {
    ...(blocking && { BlockedLoads: 1 }),
    ...(fault instanceof TransientError && { Retries: 1 }),
    ...(fault.code === "DB_TOO_MANY_CONNECTIONS" && { ConnectionsUsed: 100 }),
    ...(fault instanceof BlockedError && fault.code === "CONTRACT_INVALID" && { ContractsInvalid: 1 }),
  };
}
