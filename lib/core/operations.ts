import { z } from "zod";
import type { Diagnosis } from "./doctor.ts";
import type { Fault } from "./errors.ts";
import { type ExecutionState, executionInput } from "./execution.ts";
import type { Preview } from "./preview.ts";
import type { LoadResult } from "./report.ts";

/** Requests of the CLI to the function `operate`, and its answers. Unknown keys are refused. */

const batchId = z.string().max(300);

export const operateRequest = z.discriminatedUnion("operation", [
  z.strictObject({ operation: z.literal("start"), input: executionInput }),
  z.strictObject({ operation: z.literal("execution"), executionArn: z.string() }),
  z.strictObject({
    operation: z.literal("approve"),
    batchId,
    tables: z.array(z.string().min(1).max(63)).min(1).optional(),
    approvedBy: z.string().min(1).max(200),
  }),
  z.strictObject({ operation: z.literal("status"), batchId }),
  z.strictObject({ operation: z.literal("batches") }),
  z.strictObject({ operation: z.literal("preview"), batchId, runId: z.string().max(100) }),
  z.strictObject({ operation: z.literal("report"), batchId }),
  z.strictObject({ operation: z.literal("errors"), batchId }),
  z.strictObject({ operation: z.literal("doctor") }),
]);

export type OperateRequest = z.infer<typeof operateRequest>;

export type TableStatus = {
  readonly table: string;
  readonly state: string | null;
  readonly validation_status: string | null;
  readonly approved: boolean | null;
  readonly approved_by: string | null;
  readonly approved_at: string | null;
  readonly loaded_at: string | null;
  readonly error_summary: string | null;
  readonly staged_records: number | null;
};

export type AttemptSummary = {
  readonly attempt: number;
  readonly epoch: number;
  readonly state: string;
  readonly source: string;
  readonly code: string | null;
  readonly message: string | null;
  readonly started_at: string;
  readonly ended_at: string | null;
};

export type BatchStatus = {
  readonly batch_id: string;
  readonly state: string;
  readonly health: string;
  readonly epoch: number;
  readonly reason_code: string | null;
  readonly reason: string | null;
  readonly tables: readonly TableStatus[];
  readonly attempts: readonly AttemptSummary[];
  readonly outcomes: readonly {
    code: string;
    source: string;
    times: number;
    message: string | null;
    last_at: string;
  }[];
  /** Healings of the sweep, the newest first. */
  readonly healings: readonly { kind: string; detail: string; healed_at: string }[];
  /** The newest report or error log in the bucket. */
  readonly report_key: string | null;
};

export type BatchSummary = {
  readonly batch_id: string;
  readonly state: string;
  readonly reason_code: string | null;
  readonly reason: string | null;
  readonly tables: number;
  readonly approved_tables: number;
  readonly in_staging: boolean;
  readonly updated_at: string | null;
};

export type Approval = {
  readonly batch_id: string;
  readonly approved: readonly string[];
  /** Tables whose missing queue rows were created. */
  readonly created: readonly string[];
};

/** A stored report and its key; the report is null if there is none, the key if none is known. */
export type Stored<Report> = { readonly key: string | null; readonly report: Report | null };

/** A record of error_log.json without its original text, which may be long. */
export type RejectedRecord = {
  readonly table: string;
  readonly key: string;
  /** Null if the bucket has no versioning; absent in a preview. */
  readonly version_id?: string | null;
  readonly record: number;
  readonly field: string | null;
  readonly code: string;
  readonly got: string | null;
  readonly expected: string;
  readonly constraint: string | null;
};

/** The newest error_log.json of a batch, short enough to travel. */
export type ErrorSummary = {
  readonly error: Fault;
  readonly fragments: readonly (Fault & { readonly key: string; readonly table: string })[];
  /** Number of records that the log names. */
  readonly rejected: number;
  readonly rejected_records: readonly RejectedRecord[];
};

/** Records and fragments in an answer, as Lambda answers 6 MB at most; error_log.json or the preview has the rest. */
export const maxListedRejects = 100;

type OperateAnswers = {
  readonly start: { readonly executionArn: string };
  readonly execution: ExecutionState;
  readonly approve: Approval;
  readonly status: { readonly status: BatchStatus | null };
  readonly batches: { readonly batches: readonly BatchSummary[] };
  readonly preview: Stored<Preview>;
  readonly report: Stored<LoadResult>;
  readonly errors: Stored<ErrorSummary>;
  readonly doctor: Diagnosis;
};

/** The function `operate`, deployed or local. Throws LoaderErrors. */
export type Operate = <Operation extends OperateRequest["operation"]>(
  request: Extract<OperateRequest, { operation: Operation }>,
) => Promise<OperateAnswers[Operation]>;

/** The ledger as operate needs it. */
export interface Operations {
  epochOf(batchId: string): Promise<number>;
  approve(batchId: string, tables: readonly string[], approvedBy: string): Promise<Approval>;
  status(batchId: string): Promise<BatchStatus | null>;
  summaries(): Promise<Omit<BatchSummary, "in_staging">[]>;
}
