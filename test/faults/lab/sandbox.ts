import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sharedCacheDirectory } from "../../../lib/local/interpreter.ts";
import type { FunctionName } from "../../../lib/local/lambda.ts";
import type { Invocation, LambdaError, Said } from "./sandbox-child.ts";

/** Why an invocation failed, by the names that Step Functions sees. */
export class InvocationFault extends Error {
  constructor(name: string, message: string, trace: readonly string[] = []) {
    super(message);
    this.name = name;
    if (trace.length > 0) this.stack = trace.join("\n");
  }
}

export type Sandbox = {
  readonly pid: number;
  /** The function that it runs; null before its first invocation. */
  name(): FunctionName | null;
  /** @throws InvocationFault */
  invoke(invocation: Invocation, killAfterSeconds: number): Promise<unknown>;
  /** False while it works on what nobody waits for any more. */
  isFree(): boolean;
  /** When it has stopped itself. */
  stopped(): Promise<void>;
  /** Lets the caller of the invocation go away with an error, while the process works on. */
  abandon(errorName: string): void;
  signal(signal: NodeJS.Signals): void;
  isAlive(): boolean;
  /** How it ended. */
  readonly exited: Promise<Exit>;
  /** What it wrote to stdout and stderr. */
  output(): string;
};

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

type SandboxOptions = {
  readonly variables: Readonly<Record<string, string>>;
  /** JSON of the bucket's limits. */
  readonly limits: string;
};

const file = fileURLToPath(new URL("./sandbox-child.ts", import.meta.url));
/** Types are stripped and modules compiled once, and not in every sandbox. */
const compileCache = join(sharedCacheDirectory, "compiled");

/** Starts a process as Lambda does for an invocation that finds no warm one. */
export async function openSandbox({ variables, limits }: SandboxOptions): Promise<Sandbox> {
  const child = fork(file, [limits], {
    env: { PATH: process.env["PATH"] ?? "", NODE_COMPILE_CACHE: compileCache, ...variables },
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  // a listener for every invocation that was given up, and for every order
  child.setMaxListeners(0);
  const output = collectOutput(child);
  const exited = once(child, "exit").then(([code, signal]) => ({ code, signal }) as Exit);
  await Promise.race([heard(child, "ready"), exited.then(() => refuseToStart(output()))]);
  let name: FunctionName | null = null;
  let free = true;
  let abandon: (errorName: string) => void = () => undefined;
  return {
    pid: child.pid ?? 0,
    name: () => name,
    isFree: () => free,
    invoke: (invocation, killAfterSeconds) => {
      name = invocation.name;
      free = false;
      const { promise, reject } = Promise.withResolvers<never>();
      abandon = (errorName) => reject(new InvocationFault(errorName, "as ordered; the sandbox works on"));
      const limited = startTimeLimit(child, killAfterSeconds);
      const answered = answerOf(child).finally(() => {
        free = true;
      });
      const ended = Promise.race([promise, answered, exited.then((exit) => toExitFault(exit, limited.isOver()))]);
      // where it is dead, its exit says so
      child.send(invocation, () => undefined);
      return ended.finally(limited.stop);
    },
    stopped: () => heard(child, "stopping"),
    abandon: (errorName) => abandon(errorName),
    signal: (signal) => void child.kill(signal),
    isAlive: () => child.exitCode === null && child.signalCode === null,
    exited,
    output,
  };
}

function refuseToStart(output: string): never {
  throw new Error(`a sandbox ended before it was ready: ${output}`);
}

function toExitFault({ code, signal }: Exit, isOver: boolean): never {
  if (isOver) throw new InvocationFault("Sandbox.Timedout", "Error: Task timed out");
  const reason = signal === null ? `exit status ${code}` : `signal: ${signal}`;
  throw new InvocationFault("Runtime.ExitError", `Error: Runtime exited with error: ${reason}`);
}

/** Lambda kills what works longer than it may. */
function startTimeLimit(child: ChildProcess, seconds: number): { isOver(): boolean; stop(): void } {
  let over = false;
  const timer = setTimeout(() => {
    over = true;
    child.kill("SIGKILL");
  }, seconds * 1000);
  return { isOver: () => over, stop: () => clearTimeout(timer) };
}

function heard(child: ChildProcess, what: Said["said"]): Promise<void> {
  return new Promise((resolve) => {
    const listen = ({ said }: Said): void => {
      if (said !== what) return;
      child.off("message", listen);
      resolve();
    };
    child.on("message", listen);
  });
}

function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const listen = (message: Said): void => {
      if (message.said !== "answer" && message.said !== "fault") return;
      child.off("message", listen);
      if (message.said === "answer") resolve(message.answer);
      else reject(toFault(message.fault));
    };
    child.on("message", listen);
  });
}

const toFault = ({ errorType, errorMessage, trace }: LambdaError): InvocationFault =>
  new InvocationFault(errorType, errorMessage, trace);

function collectOutput(child: ChildProcess): () => string {
  const chunks: string[] = [];
  child.stdout?.on("data", (chunk: Buffer) => chunks.push(chunk.toString("utf8")));
  child.stderr?.on("data", (chunk: Buffer) => chunks.push(chunk.toString("utf8")));
  return () => chunks.join("");
}
