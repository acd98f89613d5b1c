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
