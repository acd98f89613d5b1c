import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";

export type PythonServer = { close(): Promise<void> };

export type PythonServerOptions = {
  /** In messages. */
  readonly name: string;
  readonly python: string;
  /** Of the interpreter. The program has to end as soon as its standard input does, so that it never outlives us. */
  readonly args: readonly string[];
  /** @default ours */
  readonly env?: Readonly<Record<string, string>>;
  /** @default ours */
  readonly directory?: string;
  /** Gets what it says. @default nobody */
  readonly log?: (text: string) => void;
  /** Whether it answers by now. */
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

/** Whoever does not read what a server says stops it, once the pipe is full. */
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
