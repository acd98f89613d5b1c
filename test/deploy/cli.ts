import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Deployed } from "./global-setup.ts";

const script = fileURLToPath(new URL("../../bin/table-loader.ts", import.meta.url));

export type CliRun = { readonly exitCode: number; readonly stdout: string; readonly stderr: string };
export type JsonRun = Omit<CliRun, "stdout"> & { readonly document: Record<string, unknown> };

export type Cli = {
  readonly run: (...args: string[]) => Promise<CliRun>;
  /** With `--json`: its one document. */
  readonly json: (...args: string[]) => Promise<JsonRun>;
};

/** The CLI as a process, in a folder without a local environment, that knows the deployed stack by a setting alone. */
export function openCli({ emulator, outputs }: Pick<Deployed, "emulator" | "outputs">): Cli {
  const env = { ...emulator.environment, OPERATE_FUNCTION: outputs.OperateFunction };
  const cwd = emulator.environment["HOME"] ?? "/";
  const run: Cli["run"] = async (...args) => {
    try {
      const options = { cwd, env, maxBuffer: 2 ** 24 };
      return { exitCode: 0, ...(await promisify(execFile)(process.execPath, [script, ...args], options)) };
    } catch (error) {
      const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
      if (typeof code !== "number" || stdout === undefined || stderr === undefined) throw error;
      return { exitCode: code, stdout, stderr };
    }
  };
  const json: Cli["json"] = async (...args) => {
    const { stdout, ...rest } = await run(...args, "--json");
    return { ...rest, document: JSON.parse(stdout) as Record<string, unknown> };
  };
  return { run, json };
}
