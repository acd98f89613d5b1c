import { z } from "zod";
import type { BatchState } from "./batch.ts";
import { type Fault, faultsOf } from "./errors.ts";

/** An execution of the machine: its input, its state, and what its end means for the batch that it holds. */

/** The input of an execution, from a person, start-load or the sweep. Unknown keys are refused by name. */
export const executionInput = z.strictObject({
  batchId: z.string().max(300),
  action: z.enum(["load", "retry", "rollback"]).default("load"),
  dryRun: z.boolean().default(false),
  tables: z.array(z.string().min(1).max(63)).min(1).max(500).optional(),
  strategy: z.enum(["upsert", "insert_only", "update_only"]).optional(),
  batchSize: z.number().int().min(1).max(1_000_000).optional(),
  targetWarehouse: z.enum(["postgres", "redshift", "snowflake"]).optional(),
  force: z.boolean().default(false),
  source: z.enum(["arrival", "sweep", "manual"]).default("manual"),
});

export type ExecutionInput = z.infer<typeof executionInput>;

/** The cause of a start. If the batch is not ready, an automatic one waits and a manual one says what is missing. */
export type StartSource = ExecutionInput["source"];

export type ExecutionStatus = "RUNNING" | "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "ABORTED";

/** Has an `output` if it succeeded, `error` and `cause` if it did not. */
export type ExecutionState = {
  readonly status: ExecutionStatus;
  readonly output: string | null;
  readonly error: string | null;
  readonly cause: string | null;
};

export type StartOptions = {
  /** Starts under the next free name if one of this name has succeeded. @default false */
  readonly again?: boolean;
};
export type Started = { readonly executionArn: string; readonly duplicate: boolean };

/** Step Functions, as far as the loader needs it. */
export interface Executions {
  /** Starts the machine; `duplicate` if an execution of that name runs or, unless `again`, has succeeded. */
  start(name: string, input: ExecutionInput, options?: StartOptions): Promise<Started>;
  describe(executionArn: string): Promise<ExecutionState>;
  /** The same; null if there is no such execution, or no longer. */
  find(executionArn: string): Promise<ExecutionState | null>;
}

type ParsedInput =
  | { readonly input: ExecutionInput; readonly fault: null }
  | { readonly input: null; readonly fault: Fault };

const maxShownId = 60;

/** Parses an execution's input; never throws. A bad batch id is refused before any call of S3 or the database. */
export function parseExecutionInput(value: unknown, batchIdPattern: RegExp): ParsedInput {
  const parsed = executionInput.safeParse(value);
  if (!parsed.success) {
    const message = `execution input: ${faultsOf(parsed.error)}; expected { "batchId", "action"?, "dryRun"?, "tables"?, "strategy"?, "batchSize"?, "targetWarehouse"?, "force"? }`;
    return { input: null, fault: { code: "INPUT_INVALID", message } };
  }
  const { batchId } = parsed.data;
  if (!isBatchId(batchId, batchIdPattern)) return { input: null, fault: badBatchId(batchId, batchIdPattern) };
  return { input: parsed.data, fault: null };
}

/** True if the id matches the pattern and has no separator, dot path or control character, which no pattern can admit. */
export function isBatchId(batchId: string, pattern: RegExp): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(batchId) && !batchId.includes("..") && pattern.test(batchId);
}

export function badBatchId(batchId: string, pattern: RegExp): Fault {
  const shown = JSON.stringify(batchId.slice(0, maxShownId));
  return { code: "BATCH_INVALID_ID", message: `batch id ${shown}: expected a match of ${pattern.source}` };
}

/** The end of an execution that held a batch; with a fault, its attempt fails. */
export type Ending = {
  readonly kind: "LEASE_EXPIRED" | "EXECUTION_LOST" | EndedBy;
  readonly detail: string;
  readonly fault: Fault | null;
};

type EndedBy = "EXECUTION_ABORTED" | "EXECUTION_TIMED_OUT" | "EXECUTION_FAILED";

/**
 * Reads from the state of an execution that holds a batch whether and how it has left it; null if it is at work. If it
 * gave up or is unknown, it has lost its batch: the load is resumed. If a person or Step Functions ended it, the load
 * must not begin again by itself: its attempt fails.
 */
export function endingOf(
  { owner, state }: { readonly owner: string; readonly state: BatchState },
  execution: ExecutionState | null,
): Ending | null {
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

/** The name in an execution's ARN. */
function executionNameOf(executionArn: string): string {
  return executionArn.slice(executionArn.lastIndexOf(":") + 1);
}

/** Step Functions ends a long execution by `States.Runtime`, like a broken one; only the cause tells them apart. */
const isUsedUp = (cause: string | null): boolean => cause?.includes("maximum number of history events") ?? false;

const lost = (detail: string): Ending => ({ kind: "EXECUTION_LOST", detail, fault: null });

/** A batch that is committed is never marked as failed: it goes on to its archive. */
function endedAt(state: BatchState): (code: EndedBy, detail: string) => Ending {
  const isCommitted = state === "committed" || state === "archived";
  const advice = isCommitted
    ? "after its batch was committed; it goes on"
    : "before its batch was committed; start the batch again with action retry";
  return (code, detail) => ({ kind: code, detail, fault: { code, message: `${detail} ${advice}` } });
}
