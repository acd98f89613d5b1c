import { z } from "zod";
import { errorNames, type Fault, parseFault, parseInvocationFault } from "./errors.ts";
import type { ExecutionState } from "./execution.ts";
import type { LoadResult } from "./report.ts";

/** The outcome of an execution, read from its state in Step Functions. */
export type Outcome =
  | { readonly kind: "loaded"; readonly result: Omit<LoadResult, "errors"> }
  | { readonly kind: "previewed"; readonly result: Omit<LoadResult, "errors"> }
  | ({ readonly kind: OtherOutcome } & Fault);

export type OtherOutcome =
  | "already_processed"
  | "waiting"
  | "busy"
  | "failed"
  | "failed_before"
  | "refused"
  | "blocked"
  | "aborted";

/** Codes that refuse a manual start of a batch that is not ready. */
const notReady: ReadonlySet<string> = new Set([
  "NOT_APPROVED",
  "NOT_QUEUED",
  "NOT_VALIDATED",
  "VALIDATION_FAILED",
  "APPROVAL_OUTDATED",
  "TABLE_INCOMPLETE",
  "TABLE_MISSING",
  "BATCH_EMPTY",
]);

/** Codes by which ValidateBatch refuses an input. Every other failure is the batch's own. */
const badInput: ReadonlySet<string> = new Set([
  "INPUT_INVALID",
  "BATCH_INVALID_ID",
  "ROLLBACK_NOT_AVAILABLE",
  "TARGET_UNSUPPORTED",
]);

const recorded = z.object({
  next: z.enum(["wait", "busy", "already_processed"]),
  code: z.string().default(""),
  message: z.string().default(""),
});
const closed = z.looseObject({ batch_id: z.string(), status: z.string(), records_read: z.number() });

/** @param state of an execution that has ended */
export function readOutcome(state: ExecutionState): Outcome {
  return state.status === "SUCCEEDED" ? readSuccess(state.output) : readFailure(state);
}

function readSuccess(output: string | null): Outcome {
  const value: unknown = JSON.parse(output ?? "null");
  const result = closed.safeParse(value);
  if (result.success) {
    const kind = result.data.status === "preview" ? "previewed" : "loaded";
    // written by CloseBatch, so that a few members are enough to know it
    return { kind, result: result.data as unknown as LoadResult };
  }
  const record = recorded.safeParse(value);
  if (!record.success) {
    return { kind: "busy", code: "STALE_FENCE", message: "another execution took the batch over; see its status" };
  }
  const { next, code, message } = record.data;
  return { kind: next === "wait" ? "waiting" : next, code, message };
}

function readFailure({ status, error, cause }: ExecutionState): Outcome {
  const message = cause ?? "";
  if (status !== "FAILED") {
    const text = message || `the execution ended as ${status}; the sweep goes on with the batch`;
    return { kind: "aborted", code: `EXECUTION_${status}`, message: text };
  }
  if (error === errorNames.blocked) return { kind: "blocked", ...blockedFault(message) };
  const code = error ?? "UNKNOWN";
  if (badInput.has(code)) return { kind: "refused", code, message };
  if (notReady.has(code)) return { kind: "waiting", code, message };
  if (code === "BATCH_FAILED") return { kind: "failed_before", code, message };
  if (code.startsWith("States.") || code.startsWith("Lambda.")) return { kind: "aborted", code, message };
  return { kind: "failed", code, message };
}

/** Reads a cause, which is Lambda's payload of a handler's error or a text of the machine itself. */
function blockedFault(cause: string): Fault {
  try {
    return parseInvocationFault(JSON.parse(cause), "of the machine").fault;
  } catch {
    return parseFault(cause, "BLOCKED");
  }
}
