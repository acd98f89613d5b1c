import { join } from "node:path";
import { settings } from "../config.ts";
import type { Operate } from "../core/operations.ts";
import { openRemoteOperate } from "../wiring.ts";
import type { CliOptions } from "./options.ts";
import { CliError, type ExitCode, exitCodes } from "./outcomes.ts";
import type { CliIo } from "./terminal.ts";

/** The loader that a command talks to. */
export type Connection = {
  readonly operate: Operate;
  readonly pollMilliseconds: number;
  close(): void;
};

/** The flags `--local` and `--function`. */
type Where = { readonly local?: boolean; readonly function?: string };
export type Connect = (where: Where, io: CliIo) => Promise<Connection>;

const localPollMilliseconds = 300;
const remotePollMilliseconds = 2_000;

/** Folder of the local environment, below the one in which the CLI was started. */
export const localDirectory = ".table-loader";

/**
 * Connects as the flags say. Without them: to the deployed stack if OPERATE_FUNCTION names it, else to the local
 * environment.
 *
 * @throws CliError USAGE if both flags are given, NOT_CONNECTED if no loader is found
 */
export const connect: Connect = async (where, io) => {
  if (where.local && where.function) {
    throw new CliError("USAGE", "--local and --function: got both, expected one; choose where the batch is");
  }
  const functionName = where.function ?? settings().operateFunction;
  if (!where.local && functionName) {
    return { ...openRemoteOperate(functionName), pollMilliseconds: remotePollMilliseconds };
  }
  const directory = join(io.directory, localDirectory);
  const { attachOperate } = await import("../local/attached-operate.ts");
  const operate = await attachOperate(directory);
  if (operate === null) throw notFound(where.local === true, directory);
  if (!where.local) io.note(`using the local environment that runs in ${localDirectory}/`);
  return { operate, pollMilliseconds: localPollMilliseconds, close: () => {} };
};

function notFound(local: boolean, directory: string): CliError {
  const text = local
    ? `local environment: none runs in ${directory}; start one with: table-loader local`
    : "no loader to talk to: name the deployed operate function with --function or OPERATE_FUNCTION, " +
      "or start a local environment in this folder with: table-loader local";
  return new CliError("NOT_CONNECTED", text, exitCodes.blocked);
}

/** A command with everything it needs. */
export type Command = { readonly connection: Connection; readonly io: CliIo; readonly options: CliOptions };

/** Action of an execution; `retry` takes up a failed batch again. */
export type LoadAction = "load" | "retry";

export type ProgramPorts = {
  readonly io: CliIo;
  readonly connect: Connect;
  /** Receives the exit code of the process. */
  readonly end: (code: ExitCode) => void;
};
