import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { findFreePort } from "../../lib/local/free-port.ts";

/** A stand-in for a versioned S3: moto (PyPI), in a virtual environment that is made once and used again. */

declare module "vitest" {
  interface ProvidedContext {
    /** `http://127.0.0.1:<port>` */
    motoEndpoint: string;
  }
}

const version = "5.2.5";
const folder = fileURLToPath(new URL("../../.venv/", import.meta.url));

let server: Server | null = null;

export async function setup(project: TestProject): Promise<void> {
  server = await startServer(await openEnvironment());
  project.provide("motoEndpoint", server.endpoint);
}

export async function teardown(): Promise<void> {
  await server?.close();
}

/** The interpreter of the environment, which is there as a whole or not at all: it is made aside, and then renamed. */
async function openEnvironment(): Promise<string> {
  const home = join(folder, `moto-${version}`);
  if (!(await hasMoto(home))) await makeEnvironment(home);
  return pythonOf(home);
}

const pythonOf = (home: string): string => join(home, "bin", "python");

/** False also where the Python that it was made with is gone. */
async function hasMoto(home: string): Promise<boolean> {
  const script = "import importlib.metadata, flask; print(importlib.metadata.version('moto'))";
  const found = await run(pythonOf(home), ["-c", script]).catch(() => "");
  return found.trim() === version;
}

async function makeEnvironment(home: string): Promise<void> {
  const aside = `${home}.${process.pid}`;
  await mkdir(folder, { recursive: true });
  try {
    await run("python3", ["-m", "venv", aside]).catch(refuse("python3 -m venv", "python3 and python3-venv"));
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", `moto[server]==${version}`];
    await run(pythonOf(aside), install).catch(refuse("pip install moto", "nothing, but reach PyPI"));
    await rm(home, { recursive: true, force: true });
    await rename(aside, home);
  } catch (error) {
    // another run was faster
    if (!(await hasMoto(home))) throw error;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

function refuse(command: string, need: string): (error: Error) => never {
  return (error) => {
    const text = `${command} does not work; install ${need} (on Debian: apt-get install python3 python3-venv)`;
    throw new Error(`TEST_VERSIONED_S3: ${text}: ${error.message.trim()}`, { cause: error });
  };
}

async function run(command: string, args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(command, [...args], { encoding: "utf8" })).stdout;
}

type Server = { readonly endpoint: string; close(): Promise<void> };

/**
 * What moto_server runs, and a thread that ends it as soon as our end of its standard input is closed or we die. To list
 * versions, moto copies every object of the bucket with its bytes: here it is shown those below the prefix alone, as the
 * answer is the same and a long soak has some ten thousand.
 */
const script = `
import os, sys, threading
from types import SimpleNamespace
def follow():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=follow, daemon=True).start()
from moto.s3.models import S3Backend
list_all = S3Backend.list_object_versions
def list_below(backend, bucket_name, delimiter=None, key_marker=None, max_keys=1000, prefix="", version_id_marker=None):
    keys = backend.get_bucket(bucket_name).keys
    below = [(key, versions) for key, versions in list(keys.iterlists()) if key.startswith(prefix or "")]
    bucket = SimpleNamespace(keys=SimpleNamespace(iterlists=lambda: below))
    shown = SimpleNamespace(get_bucket=lambda name: bucket)
    return list_all(shown, bucket_name, delimiter, key_marker, max_keys, prefix, version_id_marker)
S3Backend.list_object_versions = list_below
from moto.server import main
main(sys.argv[1:])
`;

async function startServer(python: string): Promise<Server> {
  const port = await findFreePort();
  const child = spawn(python, ["-c", script, "-H", "127.0.0.1", "-p", String(port)], {
    stdio: ["pipe", "ignore", "pipe"],
  });
  const said = collectTail(child);
  const exited = once(child, "exit");
  const ended = exited.then(([code]) => {
    throw new Error(`TEST_VERSIONED_S3: moto_server ended with ${code}: ${said()}`);
  });
  const endpoint = `http://127.0.0.1:${port}`;
  const stop = new AbortController();
  const close = async (): Promise<void> => {
    child.stdin?.end();
    await exited;
  };
  try {
    await Promise.race([answers(endpoint, stop.signal), ended]);
  } catch (error) {
    await close();
    throw error;
  } finally {
    stop.abort();
    ended.catch(() => {});
  }
  return { endpoint, close };
}

const longestWait = 60_000;
const longestPause = 500;

async function answers(endpoint: string, signal: AbortSignal): Promise<void> {
  const until = Date.now() + longestWait;
  for (let wait = 25; !signal.aborted; wait = Math.min(wait * 2, longestPause)) {
    const answer = await fetch(`${endpoint}/moto-api/data.json`, { signal }).catch(() => null);
    if (answer?.ok) return;
    if (Date.now() > until)
      throw new Error(`TEST_VERSIONED_S3: no answer from ${endpoint} after ${longestWait / 1000} s`);
    await pause(wait);
  }
}

/** The access log goes to stderr; a full pipe would stop the server. */
function collectTail(child: ChildProcess): () => string {
  let tail = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    tail = `${tail}${chunk.toString("utf8")}`.slice(-4_000);
  });
  return () => tail.trim();
}
