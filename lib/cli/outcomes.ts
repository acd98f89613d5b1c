import { BlockedError, type Fault, LoaderError, PermanentError, parseFault, TransientError } from "../core/errors.ts";
import type { OtherOutcome, Outcome } from "../core/outcome.ts";

/** What the CLI's process ends with; the meaning stands in `--help`. */
export const exitCodes = {
  success: 0,
  failed: 1,
  usage: 2,
  notReady: 3,
  blocked: 4,
  unexpected: 5,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Something the CLI itself has to say no to. The message reads subject, got, expected, fix. */
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

/** What an error that is nobody's class means, by the first word of its code. */
const knownExitCodes: Readonly<Record<string, ExitCode>> = { SETTINGS: exitCodes.usage, LOCAL: exitCodes.blocked };

/** Any thrown value as what is printed, and what the process ends with. */
export function toCliFault(error: unknown): CliFault {
  if (error instanceof CliError) return { code: error.code, message: error.message, exitCode: error.exitCode };
  if (error instanceof LoaderError) return { ...error.fault, exitCode: exitCodeOfError(error) };
  // a handler that was invoked in this process: its own error stands behind what Lambda would say
  if (error instanceof Error && error.cause instanceof LoaderError) return withCause(error.cause);
  const { code, message } = parseFault(error instanceof Error ? error.message : String(error), "UNEXPECTED");
  return { code, message, exitCode: knownExitCodes[code.replace(/_.*/, "")] ?? exitCodes.unexpected };
}

/** Here nobody else has the log of the invocation. */
function withCause(error: LoaderError): CliFault {
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return { code: error.code, message: `${error.text}${cause}`, exitCode: exitCodeOfError(error) };
}

/** operate refuses a request as permanent; what passes or is blocked is the environment's. */
function exitCodeOfError(error: LoaderError): ExitCode {
  if (error instanceof PermanentError) return exitCodes.usage;
  if (error instanceof BlockedError || error instanceof TransientError) return exitCodes.blocked;
  return exitCodes.unexpected;
}

/** What to do about an outcome, as a command where there is one. */
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
