import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Programs in Python that tests use: virtual environments, each made once and used again, and servers. */

export type PythonPackage = {
  /** Its name on PyPI. */
  readonly name: string;
  readonly version: string;
  /** Brackets behind the name: `server` of `moto[server]`. @default none */
  readonly extra?: string;
  /** Further requirements, as pip reads them. @default none */
  readonly others?: readonly string[];
  /** Modules that it has to bring. */
  readonly modules: readonly string[];
};

const folder = fileURLToPath(new URL("../../.venv/", import.meta.url));

/** The interpreter of a virtual environment, which is made aside and renamed, so that it exists as a whole or not. */
export async function openPython(wanted: PythonPackage): Promise<string> {
  const home = join(folder, `${wanted.name}-${wanted.version}`);
  if (!(await isComplete(home, wanted))) await makeEnvironment(home, wanted);
  return pythonOf(home);
}

const pythonOf = (home: string): string => join(home, "bin", "python");

/** False also if the Python that it was made with is gone. */
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
    // Another run was faster.
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

export type PythonServer = { close(): Promise<void> };

type PythonServerOptions = {
  /** Its name in messages. */
  readonly name: string;
  readonly python: string;
  /** Arguments of the interpreter. The program has to end as soon as its standard input does, so that it never outlives us. */
  readonly args: readonly string[];
  /** @default ours */
  readonly env?: Readonly<Record<string, string>>;
  /** @default ours */
  readonly directory?: string;
  /** Gets its output. @default nobody */
  readonly log?: (text: string) => void;
  /** True as soon as it answers. */
  readonly answers: (signal: AbortSignal) => Promise<boolean>;
};

/** Starts a server that is written in Python, and waits until it answers. */
export async function startPythonServer(options: PythonServerOptions): Promise<PythonServer> {
  const { name, python, args, env, directory } = options;
  const child = spawn(python, [...args], {
    stdio: ["pipe", "pipe", "pipe"],
    ...(env && { env }),
    ...(directory && { cwd: directory }),
  });
  const said = collectTail(child, options.log ?? (() => {}));
  const exited = once(child, "exit");
  const ended = exited.then(([code]) => {
    throw new Error(`TEST_PYTHON: ${name} ended with ${code}: ${said()}`);
  });
  const stop = new AbortController();
  const close = async (): Promise<void> => {
    child.stdin?.end();
    await exited;
  };
  try {
    await Promise.race([untilAnswers(options, stop.signal), ended]);
  } catch (error) {
    await close();
    throw error;
  } finally {
    stop.abort();
    ended.catch(() => {});
  }
  return { close };
}

const longestWait = 60_000;
const longestPause = 500;

async function untilAnswers({ name, answers }: PythonServerOptions, signal: AbortSignal): Promise<void> {
  const until = Date.now() + longestWait;
  for (let wait = 25; !signal.aborted; wait = Math.min(wait * 2, longestPause)) {
    if (await answers(signal).catch(() => false)) return;
    if (Date.now() > until) throw new Error(`TEST_PYTHON: ${name} gives no answer after ${longestWait / 1000} s`);
    await pause(wait);
  }
}

/** Reads the output of the server, which would stop once the pipe is full. */
function collectTail(child: ChildProcess, log: (text: string) => void): () => string {
  let tail = "";
  const take = (chunk: Buffer): void => {
    const text = chunk.toString("utf8");
    tail = `${tail}${text}`.slice(-4_000);
    log(text);
  };
  child.stdout?.on("data", take);
  child.stderr?.on("data", take);
  return () => tail.trim();
}
