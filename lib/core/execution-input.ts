import type { Fault } from "./errors.ts";
import { type ExecutionInput, executionInput } from "./execution.ts";

export type ParsedInput =
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
