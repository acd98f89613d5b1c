import { BlockedError, type Fault, LoaderError, PermanentError, parseFault, TransientError } from "../core/errors.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

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

export type CliFault = Fault & { readonly exitCode: ExitCode };

/** What an error that is nobody's class means, by the first word of its code. */
const knownExitCodes: Readonly<Record<string, ExitCode>> = { SETTINGS: exitCodes.usage, LOCAL: exitCodes.blocked };

/** Any thrown value as what is printed, and what the process ends with. */
export function toCliFault(error: unknown): CliFault {
  if (error instanceof CliError) return { code: error.code, message: error.message, exitCode: error.exitCode };
  if (error instanceof LoaderError)
    return { ...parseFault(error.message, error.code), exitCode: exitCodeOfError(error) };
  // a handler that was invoked in this process: its own error stands behind what Lambda would say
  if (error instanceof Error && error.cause instanceof LoaderError) return withCause(error.cause);
  const { code, message } = parseFault(error instanceof Error ? error.message : String(error), "UNEXPECTED");
  return { code, message, exitCode: knownExitCodes[code.replace(/_.*/, "")] ?? exitCodes.unexpected };
}

/** Here nobody else has the log of the invocation. */
function withCause(error: LoaderError): CliFault {
  const { code, message } = parseFault(error.message, error.code);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return { code, message: `${message}${cause}`, exitCode: exitCodeOfError(error) };
}

/** operate refuses a request as permanent; what passes or is blocked is the environment's. */
function exitCodeOfError(error: LoaderError): ExitCode {
  if (error instanceof PermanentError) return exitCodes.usage;
  if (error instanceof BlockedError || error instanceof TransientError) return exitCodes.blocked;
  return exitCodes.unexpected;
}
