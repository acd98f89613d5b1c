import { CommanderError } from "commander";
import { escapeText } from "../core/rejects.ts";
import { type Connect, connect } from "./connect.ts";
import { CliError, type ExitCode, exitCodes, toCliFault } from "./outcomes.ts";
import { createProgram } from "./program.ts";
import type { CliIo } from "./terminal.ts";

/**
 * Runs one command of the CLI and answers with the exit code of the process.
 *
 * @param args without node and script
 * @param connectTo finds the loader for a command; a test gives its own
 */
export async function runCli(args: readonly string[], io: CliIo, connectTo: Connect = connect): Promise<ExitCode> {
  let ended: ExitCode = exitCodes.success;
  const end = (code: ExitCode): void => {
    ended = code;
  };
  try {
    await createProgram({ io, connect: connectTo, end }).parseAsync([...args], { from: "user" });
    return ended;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.success;
    return tellFault(args, io, error instanceof CommanderError ? toUsageError(error) : error);
  }
}

function toUsageError({ message }: CommanderError): CliError {
  return new CliError("USAGE", `${message.replace(/^error: /, "").replaceAll("\n", " ")}; see table-loader --help`);
}

function tellFault(args: readonly string[], io: CliIo, error: unknown): ExitCode {
  const { code, message, exitCode } = toCliFault(error);
  // A LOCAL_ error quotes the last lines of a server on this machine: they stay lines.
  const text = code.startsWith("LOCAL_") ? message.split("\n").map(escapeText).join("\n") : escapeText(message);
  io.note(`${code}: ${text}`);
  if (args.includes("--json")) io.out(JSON.stringify({ status: "error", code, message }, null, 2));
  return exitCode;
}
