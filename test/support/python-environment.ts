import { execFile } from "node:child_process";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Virtual environments of Python for what tests run beside us, each made once and used again. */

export type PythonPackage = {
  /** On PyPI. */
  readonly name: string;
  readonly version: string;
  /** Brackets behind the name: `server` of `moto[server]`. @default none */
  readonly extra?: string;
  /** Further requirements, as pip reads them. @default none */
  readonly others?: readonly string[];
  /** Modules without which it is of no use. */
  readonly modules: readonly string[];
};

const folder = fileURLToPath(new URL("../../.venv/", import.meta.url));

/** The interpreter of an environment, which is there as a whole or not at all: it is made aside, and then renamed. */
export async function openPython(wanted: PythonPackage): Promise<string> {
  const home = join(folder, `${wanted.name}-${wanted.version}`);
  if (!(await isComplete(home, wanted))) await makeEnvironment(home, wanted);
  return pythonOf(home);
}

const pythonOf = (home: string): string => join(home, "bin", "python");

/** False also where the Python that it was made with is gone. */
async function isComplete(home: string, { name, version, modules }: PythonPackage): Promise<boolean> {
  const script = `import importlib.metadata, ${modules.join(", ")}; print(importlib.metadata.version('${name}'))`;
  const found = await run(pythonOf(home), ["-c", script]).catch(() => "");
  return found.trim() === version;
}

async function makeEnvironment(home: string, wanted: PythonPackage): Promise<void> {
  const { name, extra, version, others = [] } = wanted;
  const aside = `${home}.${process.pid}`;
  const requirement = `${name}${extra === undefined ? "" : `[${extra}]`}==${version}`;
  await mkdir(folder, { recursive: true });
  try {
    await run("python3", ["-m", "venv", aside]).catch(refuse("python3 -m venv", "python3 and python3-venv"));
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement, ...others];
    await run(pythonOf(aside), install).catch(refuse(`pip install ${name}`, "nothing, but reach PyPI"));
    await rm(home, { recursive: true, force: true });
    await rename(aside, home);
  } catch (error) {
    // another run was faster
    if (!(await isComplete(home, wanted))) throw error;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

function refuse(command: string, need: string): (error: Error) => never {
  return (error) => {
    const text = `${command} does not work; install ${need} (on Debian: apt-get install python3 python3-venv)`;
    throw new Error(`TEST_PYTHON: ${text}: ${error.message.trim()}`, { cause: error });
  };
}

async function run(command: string, args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(command, [...args], { encoding: "utf8" })).stdout;
}
