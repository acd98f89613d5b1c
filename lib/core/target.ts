import type { Catalog } from "./catalog.ts";
import type { MissingRight, UnindexedKey } from "./doctor.ts";
import type { Plan, PlanBody, TablePlan } from "./plan.ts";
import type { RecordGroup, TakeRecord } from "./records.ts";
import type { Reject } from "./rejects.ts";
import type { RecordCounts } from "./report.ts";
import type { Run } from "./run.ts";
import type { SliceProgress, WorkItem } from "./work-item.ts";

/**
 * The port of a target: everything that the loader asks of a database that holds tables. docs/architecture.md says of
 * each member how PostgreSQL does it and how a warehouse would.
 */
export interface Target {
  readonly capabilities: TargetCapabilities;
  readonly catalog: TargetCatalog;
  readonly staging: TargetStaging;
  readonly commit: TargetCommit;
  /** Null if the target cannot take back what a batch wrote. */
  readonly undo: TargetUndo | null;
  readonly inspect: TargetInspect;
}

/** Differences between targets by which the loader decides. */
type TargetCapabilities = {
  readonly name: string;
  /**
   * True if the target lies in the ledger's database, so that a commit takes effect in the ledger's own transaction.
   * Any other target commits by itself, leaves a marker, and may answer `pending`.
   */
  readonly sharesLedger: boolean;
};

declare const ledgerTransaction: unique symbol;

/**
 * A transaction of the ledger's database. It is opaque here: only lib/postgres, which lies below the ledger and the
 * PostgreSQL target, knows what it is. A target that does not share the ledger gets null in its place.
 */
export type LedgerTransaction = { readonly [ledgerTransaction]: true };

export interface TargetCatalog {
  /**
   * The shapes of the named tables, as the transaction `within` sees them, and in the order of their names, since a
   * plan is bound to their hash. Tables that do not exist are left out.
   */
  read(tables: readonly string[], within?: LedgerTransaction | null): Promise<Catalog>;
}

export interface TargetStaging {
  readonly tables: StagingTables;
  /** One for each worker and table: it keeps buffers, so that it encodes one slice at a time. */
  encoder(table: TablePlan): TableEncoder;
  readonly rows: StagedRows;
}

/** Where a plan's records wait for the commit. Every method can be repeated. */
export interface StagingTables {
  /** Makes what is missing for the tables of the plan. */
  create(planId: number, body: PlanBody): Promise<void>;
  /** Drops all staged rows, and frees their disk space at once. */
  empty(planId: number, body: PlanBody): Promise<void>;
  drop(planId: number, within: LedgerTransaction | null): Promise<void>;
}

export interface StagedRows {
  /** Opens a sink for the rows of one slice. They are staged if `end` succeeds and `within` commits. */
  open(place: SlicePlace, within: LedgerTransaction | null): Promise<SliceSink>;
  /** The ids of the items whose rows are not all there, as after a crash of a server that empties its staging. */
  missing(plan: Plan, items: readonly WorkItem[], within: LedgerTransaction | null): Promise<readonly number[]>;
  /** Deletes what is left of the rows of items that are staged again. */
  forget(plan: Plan, items: readonly number[], within: LedgerTransaction | null): Promise<void>;
}

/** The next slice of an item, whose table has this index in its plan. A slice that is written twice counts once. */
export type SlicePlace = {
  readonly planId: number;
  readonly plan: TablePlan;
  readonly index: number;
  readonly item: Pick<WorkItem, "itemId" | "slices">;
};

/** Where an encoder's lines go. */
export type SliceWriter = {
  /** Whole lines, each of them a row as the target's encoder writes it. The bytes may be used again afterwards. */
  write(lines: Uint8Array): Promise<void>;
};

export type SliceSink = SliceWriter & { end(): Promise<void>; abort(): Promise<void> };

export type TableEncoder = { begin(item: WorkItem): SliceEncoder };

/** Turns the records of one slice into lines, and collects rejects and the fingerprint on the way. */
export type SliceEncoder = {
  /** Takes a record as bytes if it can encode every value without parsing it. */
  readonly take: TakeRecord;
  /** Takes the group's other records, and sends the lines of all of them. */
  send(group: RecordGroup, writer: SliceWriter): Promise<void>;
  /** Settles when all lines are sent, with the results of the slice besides its rows. */
  end(): Promise<Pick<SliceProgress, "rejects" | "rejected" | "nulled" | "fingerprint">>;
};

/**
 * The commit: what is staged is judged and merged, and takes effect once. A target that keeps a fence of its own
 * throws StaleFence from each method once a newer one was raised.
 */
export interface TargetCommit {
  /** Comes first, before anything is read: takes the locks, or raises the fence if the target keeps one of its own. */
  prepare(request: CommitRequest): Promise<void>;
  /** Begins the commit, or answers its outcome if its marker is there. A rejected commit begins anew. */
  submit(request: CommitRequest): Promise<CommitAnswer>;
  /** Asks again for what was `pending`. */
  ask(handle: string, request: CommitRequest): Promise<CommitAnswer>;
}

export type CommitRequest = {
  readonly run: Run;
  /** 0 for the load itself. Under `(batch, epoch, table, part)` a commit takes effect once. */
  readonly part: number;
  readonly plan: Plan;
  readonly items: readonly WorkItem[];
  readonly sinks: Sinks;
  readonly within: LedgerTransaction | null;
  /** True if the loader looks again after a duplicate key, whose row another session may have inserted meanwhile. */
  readonly mayRace: boolean;
  /** Called with the name of each phase as it begins. */
  readonly enter: (phase: string) => void;
};

/** `rejected`: records were rejected, and nothing may take effect. */
export type CommitAnswer =
  | {
      readonly outcome: "done" | "rejected";
      readonly tables: readonly TableOutcome[];
      /** Rejects of the judge, up to `maxStoredRejects`; null if they were written to the ledger's sink. */
      readonly rejects: readonly Reject[] | null;
    }
  | Pending;

/** The target is at work; `handle` is what it is asked by later, also by another process. */
export type Pending = { readonly outcome: "pending"; readonly handle: string };

/** The outcome of judge and merge for one table. */
export type TableOutcome = {
  readonly table: string;
  readonly counts: RecordCounts;
  readonly seconds: number;
  /** Records that were not judged, because too many others were broken; then nothing is loaded. */
  readonly unjudged: number;
  readonly immutableAttempts: Readonly<Record<string, number>>;
  readonly changedFields: Readonly<Record<string, number>>;
  readonly sample: Readonly<Record<string, unknown>> | null;
};

/** A relation by its qualified name, ready for a statement, and the names of its columns by what they hold. */
export type Relation<Content extends string> = {
  readonly name: string;
  readonly columns: Readonly<Record<Content, string>>;
};

/**
 * Relations of the ledger that a target writes with `insert ... select`, so that no row of them passes through the
 * process. `items` is only read, for the key of each item's fragment.
 */
export type Sinks = {
  readonly items: Relation<"item" | "key">;
  readonly rejects: Relation<RejectColumn>;
  readonly images: Relation<"batch" | "epoch" | "table" | "operation" | "rows" | "keys" | "oldRows">;
  readonly audit: Relation<"table" | "operation" | "record" | "oldValues" | "newValues" | "batch">;
};

type RejectColumn =
  | "batch"
  | "epoch"
  | "plan"
  | "item"
  | "table"
  | "key"
  | "record"
  | "field"
  | "code"
  | "expected"
  | "got"
  | "constraint"
  /** True for a record that is staged, false for one that the encoder left out. */
  | "staged";

/** Takes back what a commit wrote. After `done`, the same request takes nothing back. */
interface TargetUndo {
  /** Begins with the locks or the fence, as `prepare` of a commit does. */
  submit(request: UndoRequest): Promise<UndoAnswer>;
  ask(handle: string, request: UndoRequest): Promise<UndoAnswer>;
}

export type UndoRequest = Pick<CommitRequest, "run" | "part" | "plan" | "sinks" | "within">;

/** `rejected`: rows were changed since, so that nothing was taken back. */
export type UndoAnswer =
  | { readonly outcome: "done"; readonly rows: Readonly<Record<string, number>> }
  | { readonly outcome: "rejected"; readonly conflicts: readonly UndoConflict[] }
  | Pending;

export type UndoConflict = { readonly table: string; readonly key: string; readonly reason: string };

/** Questions of doctor. */
export interface TargetInspect {
  /** Rights on these tables that the role lacks, and reasons why it may do more than load. */
  rights(tables: readonly string[]): Promise<TargetRights>;
  /** Foreign keys whose columns no index begins with. */
  unindexed(tables: readonly string[]): Promise<UnindexedKey[]>;
}

export type TargetRights = { readonly missing: readonly MissingRight[]; readonly excessive: readonly string[] };
