import { BlockedError, type Fault, LoaderError, PermanentError, parseFault, TransientError } from "../core/errors.ts";
import type { OtherOutcome, Outcome } from "../core/outcome.ts";

/** Exit codes of the process; `--help` explains them. */
export const exitCodes = {
  success: 0,
  failed: 1,
  usage: 2,
  notReady: 3,
  blocked: 4,
  unexpected: 5,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** An error of the CLI itself. The message says subject, got, expected, fix. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: string;
  readonly exitCode: ExitCode;

  constructor(code: string, message: string, exitCode: ExitCode = exitCodes.usage) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
  }
}

type CliFault = Fault & { readonly exitCode: ExitCode };

/** Exit codes of errors without a class of ours, by the first word of their code. */
const knownExitCodes: Readonly<Record<string, ExitCode>> = { SETTINGS: exitCodes.usage, LOCAL: exitCodes.blocked };

/** Turns a thrown value into code, message and exit code. */
export function toCliFault(error: unknown): CliFault {
  if (error instanceof CliError) return { code: error.code, message: error.message, exitCode: error.exitCode };
  if (error instanceof LoaderError) return { ...error.fault, exitCode: exitCodeOfError(error) };
  // a handler invoked in this process: its own error is the cause of the one that Lambda would report
  if (error instanceof Error && error.cause instanceof LoaderError) return withCause(error.cause);
  const { code, message } = parseFault(error instanceof Error ? error.message : String(error), "UNEXPECTED");
  return { code, message, exitCode: knownExitCodes[code.replace(/_.*/, "")] ?? exitCodes.unexpected };
}

/** Adds the message of the cause, which a deployed function would write to its log. */
function withCause(error: LoaderError): CliFault {
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return { code: error.code, message: `${error.text}${cause}`, exitCode: exitCodeOfError(error) };
}

/** A PermanentError of operate refuses the request; transient and blocked errors are the environment's. */
function exitCodeOfError(error: LoaderError): ExitCode {
  if (error instanceof PermanentError) return exitCodes.usage;
  if (error instanceof BlockedError || error instanceof TransientError) return exitCodes.blocked;
  return exitCodes.unexpected;
}

/** The command, or the steps, that an outcome's code calls for; null if there is nothing to do. */
export function adviceFor(code: string, batchId: string): string | null {
  if (["NOT_APPROVED", "NOT_QUEUED"].includes(code)) return `table-loader approve ${batchId}`;
  if (code === "APPROVAL_OUTDATED") {
    return `table-loader approve ${batchId}; where the batch failed before, add --no-load, then: table-loader retry ${batchId}`;
  }
  if (code === "BATCH_FAILED") return `table-loader retry ${batchId}`;
  if (code === "RECORDS_REJECTED") {
    return `mend the records, drop the fragments again, then: table-loader approve ${batchId} --no-load && table-loader retry ${batchId}`;
  }
  if (code === "BATCH_BUSY" || code === "STALE_FENCE") return `table-loader status ${batchId}`;
  return null;
}

export const exitCodeHelp = `Exit codes:
  0  done (also where the batch was loaded before)
  1  the batch failed, or its preview says that it would; doctor found an error
  2  usage, or input that was refused
  3  not ready: not approved, not complete, or busy elsewhere
  4  blocked by its environment, or the environment cannot be reached
  5  unexpected`;

const outcomeExitCodes: Readonly<Record<OtherOutcome, ExitCode>> = {
  already_processed: exitCodes.success,
  waiting: exitCodes.notReady,
  busy: exitCodes.notReady,
  failed: exitCodes.failed,
  failed_before: exitCodes.failed,
  refused: exitCodes.usage,
  blocked: exitCodes.blocked,
  aborted: exitCodes.unexpected,
};

export function exitCodeOf(outcome: Outcome): ExitCode {
  if (outcome.kind !== "loaded" && outcome.kind !== "previewed") return outcomeExitCodes[outcome.kind];
  const { status } = outcome.result;
  return status === "failed" || status === "partial_success" ? exitCodes.failed : exitCodes.success;
}
