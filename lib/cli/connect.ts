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

/** What `--local` and `--function` say. */
type Where = { readonly local?: boolean; readonly function?: string };
export type Connect = (where: Where, io: CliIo) => Promise<Connection>;

const localPollMilliseconds = 300;
const remotePollMilliseconds = 2_000;

/** Folder of the local environment, below the one that the CLI was started in. */
export const localDirectory = ".table-loader";

function toLocalConnection(operate: Operate): Connection {
  return { operate, pollMilliseconds: localPollMilliseconds, close: () => {} };
}

/** Connects to the deployed stack or to the local environment, as the flags say or, without them, as it is. */
export const connect: Connect = async (where, io) => {
  if (where.local && where.function) {
    throw new CliError("USAGE", "--local and --function: got both, expected one; choose where the batch is");
  }
  const functionName = where.function ?? settings().operateFunction;
  if (!where.local && functionName) return toRemoteConnection(functionName);
  const directory = join(io.directory, localDirectory);
  const { attachOperate } = await import("../local/attached-operate.ts");
  const operate = await attachOperate(directory);
  if (operate === null) throw notFound(where.local === true, directory);
  if (!where.local) io.note(`using the local environment that runs in ${localDirectory}/`);
  return toLocalConnection(operate);
};

function toRemoteConnection(functionName: string): Connection {
  return { ...openRemoteOperate(functionName), pollMilliseconds: remotePollMilliseconds };
}

function notFound(local: boolean, directory: string): CliError {
  const text = local
    ? `local environment: none runs in ${directory}; start one with: table-loader local`
    : "no loader to talk to: name the deployed operate function with --function or OPERATE_FUNCTION, " +
      "or start a local environment in this folder with: table-loader local";
  return new CliError("NOT_CONNECTED", text, exitCodes.blocked);
}

/** A command with everything it needs. */
export type Command = { readonly connection: Connection; readonly io: CliIo; readonly options: CliOptions };

/** What a dry run and a load have in common: whether failed batches are taken up again. */
export type LoadAction = "load" | "retry";

export type ProgramPorts = {
  readonly io: CliIo;
  readonly connect: Connect;
  /** Gets what the process shall end with. */
  readonly end: (code: ExitCode) => void;
};
