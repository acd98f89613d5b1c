import type { BatchState, QueueRow, SeenVersion, TableState } from "./batch.ts";
import type { ContractsVersion } from "./contract.ts";
import type { Fault } from "./errors.ts";
import type { StartSource } from "./execution.ts";
import type { PlanKind } from "./kinds.ts";
import type { Measures } from "./metrics.ts";
import type { ObjectVersion } from "./objects.ts";
import type { Plan, PlanBody, TablePlan } from "./plan.ts";
import type { Reject } from "./rejects.ts";
import type { LoadResult, TableResult } from "./report.ts";
import type { Run } from "./run.ts";
import type { SliceWriter, TableOutcome } from "./target.ts";
import type { ArchivedItem, NewItem, SliceProgress, WorkItem } from "./work-item.ts";

/**
 * Ports of the steps. Their adapters are in readers, targets, ledger and aws, and wiring.ts brings both together. Every
 * method that acts for a batch compares the run's fence, and throws StaleFence if it is not the current one.
 */

/** A claim: this execution alone may act on the batch until its lease ends. */
export type Claim = {
  readonly fence: number;
  readonly state: BatchState;
  readonly epoch: number;
  readonly attempt: number;
  readonly planId: number | null;
  /** Number of takeovers in a row without a checkpoint, this one included. */
  readonly idleTakeovers: number;
  /** True if this very execution has ended an attempt already, and looks for objects that arrived meanwhile. */
  readonly looksAgain: boolean;
  /** The fault of an execution before that was ended from outside: the attempt fails unless it is committed. */
  readonly aborted: Fault | null;
};

export type ClaimRequest = { readonly batchId: string; readonly owner: string; readonly source: StartSource };

/** Claims of executions on batches. */
export interface Claims {
  /** Null if another execution holds the lease: then a wake is counted, so that the holder looks again. */
  claim(request: ClaimRequest): Promise<Claim | null>;
  renew(run: Run): Promise<void>;
  /** Ends a claim without a load, with the reason why the batch waits; `again` if a wake came meanwhile. */
  release(claimed: { batchId: string; fence: number }, waiting: Fault | null): Promise<"released" | "again">;
  /** Notes why the batch that this execution holds does not move; never throws StaleFence. */
  noteBlocked(owner: string, fault: Fault): Promise<void>;
  /** The fault that was noted so since this execution last claimed its batch. */
  blockedBy(owner: string): Promise<Fault | null>;
}

/** Records of a batch in the ledger and the queue. */
export interface BatchRecords {
  tableStates(batchId: string, epoch: number): Promise<ReadonlyMap<string, TableState>>;
  queue(batchId: string): Promise<QueueRow[]>;
  seenVersions(batchId: string, epoch: number): Promise<SeenVersion[]>;
  /** Records every version listed; repeatable. */
  recordSeen(batchId: string, epoch: number, versions: readonly SeenObject[]): Promise<void>;
  /** Counts an execution that had no effect. */
  recordOutcome(batchId: string, outcome: Fault & { readonly source: StartSource }): Promise<void>;
}

export type SeenObject = {
  readonly stagedKey: string;
  readonly table: string;
  readonly object: ObjectVersion;
  readonly isLatest: boolean;
};

/** The contracts in force: the newest valid text, or the last good one. */
export interface ContractStore {
  /** `remember` keeps a text that was found valid as the last good one; a preview must not. */
  current(options: { readonly remember: boolean }): Promise<ContractsVersion & { readonly faults: readonly string[] }>;
}

export type NewPlan = {
  readonly batchId: string;
  readonly runId: string;
  readonly kind: PlanKind;
  readonly epoch: number;
  readonly attempt: number;
  readonly fence: number;
  readonly source: StartSource;
  readonly body: PlanBody;
  readonly items: readonly NewItem[];
  readonly workers: number;
};

export interface Plans {
  /** Writes plan and items and marks batch, tables and queue as loading, in one transaction; then makes staging. */
  create(plan: NewPlan): Promise<number>;
  /** Makes the missing staging tables: all of them if the execution that planned was ended before. */
  ensureStaging(plan: Pick<Plan, "planId" | "kind" | "body">): Promise<void>;
  read(planId: number): Promise<Plan | null>;
  /** Takes over the plan of an interrupted load, under the new fence. */
  adopt(claimed: { batchId: string; fence: number; planId: number }, source: StartSource): Promise<void>;
  /** Drops the staged rows of a load that is not committed; its items begin anew. */
  emptyStaging(run: Run): Promise<void>;
  /** Drops plan, items and staging. */
  discard(planId: number): Promise<void>;
}

export interface WorkItems {
  /** Takes the next free item for this worker of this fence; its own unfinished one comes first. */
  take(run: Run, worker: number): Promise<WorkItem | null>;
  /** True if any item is neither done nor failed. */
  anyPending(run: Run): Promise<boolean>;
  fail(run: Run, item: WorkItem, fault: Fault): Promise<void>;
  list(planId: number): Promise<WorkItem[]>;
  /** Notes the new keys of archived objects. */
  markArchived(run: Run, archived: readonly ArchivedItem[]): Promise<void>;
}

export interface Slices {
  /**
   * Runs `body` and commits its rows, rejects and checkpoint in one transaction. Without staging, the content is only
   * read and fingerprinted.
   */
  stage(slice: Slice, body: (writer: SliceWriter) => Promise<SliceProgress>): Promise<WorkItem>;
}

export type Slice = {
  readonly run: Run;
  readonly worker: number;
  readonly item: WorkItem;
  /** The table of the plan and its index there. */
  readonly staging: { readonly plan: TablePlan; readonly index: number } | null;
};

export type Judgement = {
  readonly tables: readonly TableOutcome[];
  readonly rejects: readonly Reject[];
  readonly rejected: number;
};

export type CommitOutcome =
  | { readonly outcome: "committed"; readonly judgement: Judgement | null }
  | { readonly outcome: "restage" | "replan" }
  | { readonly outcome: "rejected"; readonly judgement: Judgement };

/** The one transaction in which a load takes effect. */
export interface Commits {
  /** `budget` is in seconds. Everything is rolled back unless the outcome is `committed`. */
  commit(run: Run, plan: Plan, budget: number): Promise<CommitOutcome>;
  /** Judges and merges as a commit does, without fence and ledger, and rolls everything back. */
  preview(run: Run, plan: Plan, budget: number): Promise<Judgement>;
  /** Ends the comparison of a redelivery: answers the versions with other content and those with the same. */
  compare(run: Run): Promise<{ readonly changed: readonly string[]; readonly same: readonly string[] }>;
}

export type Closing = { readonly state: BatchState; readonly result: LoadResult; readonly fault: Fault | null };

/** The end of an attempt. */
export interface Attempts {
  /** Marks batch, tables and queue as failing; `committed` if the load took effect after all. */
  fail(run: Run, fault: Fault): Promise<"failing" | "committed" | "compared">;
  /** Keeps the rejects of a load that was rolled back, under its attempt. */
  keepRejects(run: Run, judgement: Judgement): Promise<void>;
  /** Rejects kept under this attempt. */
  rejects(run: Run): Promise<Reject[]>;
  /** State of the batch, and table results as far as they are known. */
  attemptStatus(run: Run): Promise<AttemptStatus>;
  /** Ends the archiving; `more` if the ledger knows of an object that is not archived yet. */
  archived(run: Run): Promise<"done" | "more">;
  close(run: Run, closing: Closing): Promise<"closed" | "again">;
}

export type AttemptStatus = {
  readonly state: BatchState;
  readonly startedAt: Date;
  readonly now: Date;
  readonly fault: Fault | null;
  readonly tables: Readonly<Record<string, TableResult>>;
  readonly duplicateOf: readonly string[];
  /** The result of an attempt that was closed before, so that a repetition answers the same. */
  readonly closed: LoadResult | null;
};

/** Structured log; never given a record's values. */
export interface Log {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Metrics; a local environment has no use for them and drops them. */
export interface Gauges {
  emit(measures: Measures): void;
}

/** Called at named points, at which the tests of faults end the process; otherwise nothing happens there. */
export type CrashPointHook = (point: CrashPoint) => void | Promise<void>;
export type CrashPoint =
  | "before-claim"
  | "after-claim"
  | "after-plan"
  | "mid-copy"
  | "after-copy"
  | "before-commit"
  /** All of the commit is done but COMMIT itself. */
  | "after-merge"
  | "after-commit"
  | "before-archive-copy"
  /** A part of a big copy is there. */
  | "mid-archive-copy"
  /** The copy is verified, the source still there. */
  | "before-archive-delete"
  | "after-archive-copy"
  | "after-archive"
  | "before-report"
  | "after-report"
  | "after-close";
