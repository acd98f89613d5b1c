import type { BatchState } from "./batch.ts";
import type { Fault } from "./errors.ts";
import { type ExecutionState, executionNameOf } from "./execution.ts";
import type { ArchivedKey } from "./keys.ts";
import type { SeenObject } from "./ports.ts";

/** What the sweep finds and heals, and the ports that it needs for that. */

/** Every kind stands in docs/reference/errors.md. */
const healingKinds = [
  "LEASE_EXPIRED",
  "EXECUTION_LOST",
  "EXECUTION_ABORTED",
  "EXECUTION_TIMED_OUT",
  "EXECUTION_FAILED",
  "EVENT_MISSED",
  "STRAY_ARCHIVE",
  "ORPHANED_STAGING",
  "UPLOAD_ABANDONED",
] as const;

export type HealingKind = (typeof healingKinds)[number];

export type Healing = {
  readonly kind: HealingKind;
  /** Null where no batch is known. */
  readonly batchId: string | null;
  readonly detail: string;
};

/** A batch that an execution holds, or held when its lease ended. */
export type HeldBatch = {
  readonly batchId: string;
  readonly state: BatchState;
  /** The ARN of the execution; null where the lease was given back in the middle of a load. */
  readonly owner: string | null;
  readonly fence: number;
  readonly visits: number;
  /** True where it is marked already that its execution was ended. */
  readonly marked: boolean;
};

export type BatchInLedger = {
  readonly state: BatchState;
  readonly epoch: number;
  /** Grows with every claim, and with every execution that found the batch busy. */
  readonly visits: number;
  /** Somebody acts on it, or waits in line for it. */
  readonly leased: boolean;
  readonly waitingHours: number | null;
};

/** How long undo images, audit rows and the sweep's own records are kept, in days. */
export type Retention = { readonly undoRetentionDays: number; readonly auditRetentionDays: number };

/** How far the sweep came; of deadlocks, how many the server had counted. */
export type CursorName = "staging" | "archive" | "strays" | "deadlocks";

/** The sweep's own records. */
export interface Sweeps {
  /** False where another sweep is at work. */
  begin(owner: string): Promise<boolean>;
  end(owner: string): Promise<void>;
  /** Where the last sweep stopped; empty at the beginning. */
  cursor(name: CursorName): Promise<string>;
  moveCursor(name: CursorName, position: string): Promise<void>;
  record(healing: Healing): Promise<void>;
  gauges(): Promise<SweepGauges>;
}

/** How it stands at this moment; deadlocks are those since the last time that was asked. */
export type SweepGauges = {
  readonly stalled: number;
  readonly blocked: number;
  readonly waiting: number;
  readonly inLine: number;
  readonly pendingItems: number;
  readonly secondsSinceCheckpoint: number;
  /** In percent of max_connections. */
  readonly connectionsUsed: number;
  readonly deadlocks: number;
};

/** Batches as the sweep sees them. None of it waits for a batch row that somebody has locked. */
export interface HeldBatches {
  /** Batches that executions hold, those first that have not moved for the longest time. */
  held(lease: "running" | "ended"): Promise<HeldBatch[]>;
  /**
   * Ends the lease of exactly this owner and fence; with a fault, the attempt is marked as aborted by it.
   * False where the batch has moved on, or is locked.
   */
  free(held: HeldBatch, fault: Fault | null): Promise<boolean>;
  inLedger(batchId: string): Promise<BatchInLedger | null>;
  /** Notes why a batch waits that nobody holds. */
  noteWaiting(batchId: string, fault: Fault): Promise<void>;
}

export type UncommittedOfBatch = {
  readonly batchId: string;
  readonly epoch: number;
  readonly objects: readonly SeenObject[];
};

/** Archived objects of which the ledger knows no commit. */
export interface UncommittedObjects {
  /** Those of the keys whose tables were never committed, and that are not known as strays yet. */
  uncommitted(keys: readonly ArchivedKey[]): Promise<ArchivedKey[]>;
  /** Records what lies in a batch's archive folder without a commit, and forgets what lies there no longer. */
  record(found: UncommittedOfBatch): Promise<void>;
  /** Batches with strays in their current epoch, by id. */
  batches(after: string, limit: number): Promise<string[]>;
}

export interface Leftovers {
  /** Drops plans and staging that belong to nothing any more. */
  dropOrphans(): Promise<Healing[]>;
  /** Deletes what is older than it has to be kept; answers how many rows. */
  forgetOld(retention: Retention): Promise<number>;
}

/** What an execution that holds a batch says of itself, and what comes of it. */
export type Ending = { readonly kind: HealingKind; readonly detail: string; readonly fault: Fault | null };

type EndingAsked = { readonly owner: string; readonly state: BatchState };

/**
 * Null where the execution is at work. One that gave up, or of which nothing is known, has lost its batch: the load is
 * resumed. One that a person or Step Functions itself ended must not begin again by itself: its attempt fails.
 */
export function endingOf({ owner, state }: EndingAsked, execution: ExecutionState | null): Ending | null {
  const name = executionNameOf(owner);
  const ended = endedAt(state);
  if (execution === null) return lost(`execution ${name} is not known`);
  const { status, error, cause } = execution;
  if (status === "RUNNING") return null;
  if (status === "ABORTED") return ended("EXECUTION_ABORTED", `execution ${name} was aborted`);
  if (status === "TIMED_OUT") return ended("EXECUTION_TIMED_OUT", `execution ${name} ran out of time`);
  if (isUsedUp(cause)) return lost(`execution ${name} has used up its history of events`);
  if (status === "FAILED" && error?.startsWith("States.")) {
    return ended("EXECUTION_FAILED", `execution ${name} was ended by ${error}`);
  }
  return lost(`execution ${name} has ended as ${status}${error === null ? "" : ` (${error})`} and left its batch`);
}

/** Step Functions ends a long execution as it does a broken one, by `States.Runtime`; only its cause tells them apart. */
const isUsedUp = (cause: string | null): boolean => cause?.includes("maximum number of history events") ?? false;

const lost = (detail: string): Ending => ({ kind: "EXECUTION_LOST", detail, fault: null });

type EndedBy = "EXECUTION_ABORTED" | "EXECUTION_TIMED_OUT" | "EXECUTION_FAILED";

/** A batch that is committed is never marked as failed: it goes on to its archive. */
function endedAt(state: BatchState): (code: EndedBy, detail: string) => Ending {
  const isCommitted = state === "committed" || state === "archived";
  const advice = isCommitted
    ? "after its batch was committed; it goes on"
    : "before its batch was committed; start the batch again with action retry";
  return (code, detail) => ({ kind: code, detail, fault: { code, message: `${detail} ${advice}` } });
}
