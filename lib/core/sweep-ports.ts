import type { BatchState } from "./batch.ts";
import type { Fault } from "./errors.ts";
import type { Ending } from "./execution.ts";
import type { ArchivedKey } from "./keys.ts";
import type { SeenObject } from "./ports.ts";

/** The healings of the sweep, and the ports that it needs for them. */

/** docs/reference/errors.md describes every kind. */
export type HealingKind = Ending["kind"] | "EVENT_MISSED" | "STRAY_ARCHIVE" | "ORPHANED_STAGING" | "UPLOAD_ABANDONED";

export type Healing = {
  readonly kind: HealingKind;
  /** Null if no batch is known. */
  readonly batchId: string | null;
  readonly detail: string;
};

/** A batch that an execution holds, or held when its lease ended. */
export type HeldBatch = {
  readonly batchId: string;
  readonly state: BatchState;
  /** The ARN of the execution; null if the lease was given back in the middle of a load. */
  readonly owner: string | null;
  readonly fence: number;
  readonly visits: number;
  /** True if its attempt is marked already as aborted. */
  readonly marked: boolean;
};

export type BatchInLedger = {
  readonly state: BatchState;
  readonly epoch: number;
  /** Grows with every claim, and with every execution that found the batch busy. */
  readonly visits: number;
  /** True if an execution acts on it or waits for its turn. */
  readonly leased: boolean;
  readonly waitingHours: number | null;
};

/** Days that undo images, audit rows and the sweep's own records are kept. */
export type Retention = { readonly undoRetentionDays: number; readonly auditRetentionDays: number };

/** Positions at which the next sweep goes on; of `deadlocks` it is the server's count. */
export type CursorName = "staging" | "archive" | "strays" | "deadlocks";

/** The sweep's own records. */
export interface Sweeps {
  /** False if another sweep is at work. */
  begin(owner: string): Promise<boolean>;
  end(owner: string): Promise<void>;
  /** The position at which the last sweep stopped; empty at the beginning. */
  cursor(name: CursorName): Promise<string>;
  moveCursor(name: CursorName, position: string): Promise<void>;
  record(healing: Healing): Promise<void>;
  gauges(): Promise<SweepGauges>;
}

/** Counts of this moment; `deadlocks` are those since the last call. */
export type SweepGauges = {
  readonly stalled: number;
  readonly blocked: number;
  readonly waiting: number;
  readonly inLine: number;
  readonly pendingItems: number;
  readonly secondsSinceCheckpoint: number;
  /** Percent of max_connections. */
  readonly connectionsUsed: number;
  readonly deadlocks: number;
};

/** Batches as the sweep sees them. No method waits for a batch row that another session has locked. */
export interface HeldBatches {
  /** Batches that executions hold; first those that have not moved for the longest time. */
  held(lease: "running" | "ended"): Promise<HeldBatch[]>;
  /**
   * Ends the lease of exactly this owner and fence; with a fault, the attempt is marked as aborted by it.
   * False if the batch has moved on or is locked.
   */
  free(held: HeldBatch, fault: Fault | null): Promise<boolean>;
  inLedger(batchId: string): Promise<BatchInLedger | null>;
  /** Notes why a batch waits that no execution holds. */
  noteWaiting(batchId: string, fault: Fault): Promise<void>;
}

export type UncommittedOfBatch = {
  readonly batchId: string;
  readonly epoch: number;
  readonly objects: readonly SeenObject[];
};

/** Objects in the archive that the ledger knows no commit of. */
export interface UncommittedObjects {
  /** Those of the keys whose tables were never committed, and that are not recorded as uncommitted yet. */
  uncommitted(keys: readonly ArchivedKey[]): Promise<ArchivedKey[]>;
  /** Records the uncommitted objects in a batch's archive folder, and forgets those that are no longer there. */
  record(found: UncommittedOfBatch): Promise<void>;
  /** Batches with uncommitted objects in their current epoch, in the order of their ids. */
  batches(after: string, limit: number): Promise<string[]>;
}

export interface Leftovers {
  /** Drops plans and staging tables that no load uses any more. */
  dropOrphans(): Promise<Healing[]>;
  /** Deletes rows that are past their retention; answers their number. */
  forgetOld(retention: Retention): Promise<number>;
}
