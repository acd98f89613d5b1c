import { z } from "zod";
import type { LoadStatus } from "./report.ts";

/** The kinds of run, and what each of them may do. */

export const runKind = z.enum(["load", "compare", "preview", "rollback"]);

export type RunKind = z.infer<typeof runKind>;

/** The kinds that have a plan; a rollback takes back what an earlier plan did. */
export type PlanKind = Exclude<RunKind, "rollback">;

export type Capabilities = {
  /** Acts for its batch, under its claim and fence; otherwise its plan has a lease of its own. */
  readonly fenced: boolean;
  /** Writes records into staging tables; otherwise they are only read and fingerprinted. */
  readonly stages: boolean;
  /** Commits its records or fails: batch, tables and queue change state with it, otherwise they stay as they are. */
  readonly commits: boolean;
  /** Folder that its fragments go to if nothing fails; null if they stay in staging. */
  readonly archivesTo: "loaded" | "duplicates" | null;
  /** Report that it writes: a load result, or a preview of what a load would change, which is its only trace. */
  readonly report: "result" | "preview";
  /** State in the ledger of an attempt that did not fail; null if it ends no attempt. */
  readonly attempt: "loaded" | "compared" | null;
  /** Status in its result if nothing failed. */
  readonly status: LoadStatus;
  /** Counts in the metrics of loads. */
  readonly measured: boolean;
  /** Sends a notice at its end. */
  readonly notifies: boolean;
};

export const kinds: Readonly<Record<RunKind, Capabilities>> = {
  load: {
    fenced: true,
    stages: true,
    commits: true,
    archivesTo: "loaded",
    report: "result",
    attempt: "loaded",
    status: "success",
    measured: true,
    notifies: true,
  },
  /** Reads fragments that were dropped again, and says whether they hold what was loaded. */
  compare: {
    fenced: true,
    stages: false,
    commits: false,
    archivesTo: "duplicates",
    report: "result",
    attempt: "compared",
    status: "already_processed",
    measured: false,
    notifies: true,
  },
  /** Does what a load does, in a transaction that is rolled back. */
  preview: {
    fenced: false,
    stages: true,
    commits: false,
    archivesTo: null,
    report: "preview",
    attempt: null,
    status: "preview",
    measured: false,
    notifies: false,
  },
  /** Not available yet: ValidateBatch refuses it, and RollbackBatch touches nothing. */
  rollback: {
    fenced: true,
    stages: false,
    commits: false,
    archivesTo: null,
    report: "result",
    attempt: null,
    status: "rolled_back",
    measured: false,
    notifies: true,
  },
};
