import type { ExecutionStatus } from "../core/execution.ts";

export type MachineEventType = "entered" | "exited" | "failed" | "retried" | "caught";

/** One step of an execution, for progress and for tests. */
export type MachineEvent = {
  readonly executionArn: string;
  readonly executionName: string;
  readonly type: MachineEventType;
  readonly state: string;
  /** Place in the Map's items; null outside of a Map. */
  readonly item: number | null;
  /** Name of the error of a failed step. */
  readonly error: string | null;
  readonly at: Date;
};

export type ExecutionRecord = {
  readonly name: string;
  readonly arn: string;
  readonly machineArn: string;
  /** JSON text, as it was given. */
  readonly input: string;
  readonly status: ExecutionStatus;
  /** JSON text of what a succeeded execution answered. */
  readonly output: string | null;
  readonly error: string | null;
  readonly cause: string | null;
  readonly startDate: Date;
  readonly stopDate: Date | null;
  /** The names of the states in the order in which they were entered. */
  readonly states: readonly string[];
};

export type Outcome = Pick<ExecutionRecord, "status" | "output" | "error" | "cause">;

export function toSuccess(output: unknown): Outcome {
  return { status: "SUCCEEDED", output: JSON.stringify(output ?? null), error: null, cause: null };
}

/** Reads the outcome from what the interpreter throws: an ExecutionError whose cause has the Error as its name. */
export function toFailure(thrown: unknown): Outcome {
  const { name, message, cause } = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (name === "ExecutionAbortedError") return { status: "ABORTED", output: null, error: null, cause: null };
  if (name === "ExecutionTimeoutError") {
    return { status: "TIMED_OUT", output: null, error: "States.Timeout", cause: message };
  }
  const fault = cause instanceof Error ? cause : { name, message };
  return { status: "FAILED", output: null, error: fault.name, cause: fault.message };
}
