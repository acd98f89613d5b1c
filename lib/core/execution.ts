import { z } from "zod";
import type { Fault } from "./errors.ts";

/** Why an execution was started. Automatic ones find a batch not ready and wait; a manual one says what is missing. */
const startSources = ["arrival", "sweep", "manual"] as const;
export type StartSource = (typeof startSources)[number];

const tableName = z.string().min(1).max(63);

/** The input of an execution, by hand or by start-load and sweep. Unknown keys are refused by name. */
export const executionInput = z.strictObject({
  batchId: z.string().max(300),
  action: z.enum(["load", "retry", "rollback"]).default("load"),
  dryRun: z.boolean().default(false),
  tables: z.array(tableName).min(1).max(500).optional(),
  strategy: z.enum(["upsert", "insert_only", "update_only"]).optional(),
  batchSize: z.number().int().min(1).max(1_000_000).optional(),
  targetWarehouse: z.enum(["postgres", "redshift", "snowflake"]).optional(),
  force: z.boolean().default(false),
  source: z.enum(startSources).default("manual"),
});

export type ExecutionInput = z.infer<typeof executionInput>;

export type ExecutionStatus = "RUNNING" | "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "ABORTED";

/** `output` where it succeeded, `error` and `cause` where it did not. */
export type ExecutionState = {
  readonly status: ExecutionStatus;
  readonly output: string | null;
  readonly error: string | null;
  readonly cause: string | null;
};

export type StartOptions = {
  /** Starts under the next free name where one has succeeded. @default false */
  readonly again?: boolean;
};
export type Started = { readonly executionArn: string; readonly duplicate: boolean };

/** Step Functions, as far as the loader needs it. */
export interface Executions {
  /** Starts the machine; `duplicate` where an execution of that name runs or, unless `again`, has succeeded. */
  start(name: string, input: ExecutionInput, options?: StartOptions): Promise<Started>;
  describe(executionArn: string): Promise<ExecutionState>;
  /** The same; null where there is no such execution, or not any more. */
  find(executionArn: string): Promise<ExecutionState | null>;
}

/** The name in an execution's ARN. */
export function executionNameOf(executionArn: string): string {
  return executionArn.slice(executionArn.lastIndexOf(":") + 1);
}

type ParsedInput =
  | { readonly input: ExecutionInput; readonly fault: null }
  | { readonly input: null; readonly fault: Fault; readonly batchId: string | null };

const maxShownId = 60;

/** Parses what an execution was started with; never throws. A bad batch id is refused before any S3 or database call. */
export function parseExecutionInput(value: unknown, batchIdPattern: RegExp): ParsedInput {
  const parsed = executionInput.safeParse(value);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => [issue.path.join("."), issue.message].filter(Boolean).join(": "));
    const message = `execution input: ${faults.join("; ")}; expected { "batchId", "action"?, "dryRun"?, "tables"?, "strategy"?, "batchSize"?, "targetWarehouse"?, "force"? }`;
    return { input: null, fault: { code: "INPUT_INVALID", message }, batchId: null };
  }
  const { batchId } = parsed.data;
  if (!isBatchId(batchId, batchIdPattern))
    return { input: null, fault: badBatchId(batchId, batchIdPattern), batchId: null };
  return { input: parsed.data, fault: null };
}

/** The pattern decides, but a separator, a dot path or a control character is never part of a batch id. */
export function isBatchId(batchId: string, pattern: RegExp): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(batchId) && !batchId.includes("..") && pattern.test(batchId);
}

export function badBatchId(batchId: string, pattern: RegExp): Fault {
  const shown = JSON.stringify(batchId.slice(0, maxShownId));
  return { code: "BATCH_INVALID_ID", message: `batch id ${shown}: expected a match of ${pattern.source}` };
}
