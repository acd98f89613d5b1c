import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chown, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { PostgresBinaries, ServerUser } from "./postgres-binaries.ts";

export type Cluster = {
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser;
  /** The cluster's own directory. */
  readonly folder: string;
  readonly log: (text: string) => void;
};

export type ServerProcess = { readonly pid: number; close(): Promise<void> };

/** What the server says when it takes connections, as long as lc_messages is C. */
const readyMessage = "database system is ready to accept connections";

/** Makes the cluster if there is none yet: aside, and then renamed, so that a crash leaves none half-made. */
export async function initialiseCluster(cluster: Cluster, superuser: string, password: string): Promise<void> {
  if (existsSync(join(cluster.folder, "PG_VERSION"))) return checkVersion(cluster);
  const aside = `${cluster.folder}.new`;
  const passwordFile = `${cluster.folder}.password`;
  await rm(aside, { recursive: true, force: true });
  try {
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if ("uid" in cluster.user) await chown(passwordFile, cluster.user.uid, cluster.user.gid);
    const layout = [`--pgdata=${aside}`, `--username=${superuser}`, `--pwfile=${passwordFile}`];
    const contents = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--lc-messages=C", "--no-sync"];
    await runInitdb(cluster, [...layout, ...contents]);
    await rename(aside, cluster.folder);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function checkVersion({ folder, binaries }: Cluster): Promise<void> {
  const made = Number((await readFile(join(folder, "PG_VERSION"), "utf8")).trim());
  if (made === binaries.majorVersion) return;
  throw new Error(
    `LOCAL_DATABASE_VERSION: ${folder} was made by PostgreSQL ${made}, got binaries of ${binaries.majorVersion}; ` +
      "move the directory away to start with an empty database",
  );
}

async function runInitdb(cluster: Cluster, args: readonly string[]): Promise<void> {
  const child = spawn(cluster.binaries.initdb, args, { ...cluster.user });
  const said = collectOutput(child, cluster.log);
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`LOCAL_DATABASE_INIT: initdb ended with ${code}: ${said().trim()}`);
}

/**
 * Starts the server in a process group of its own, so that Ctrl-C reaches us and not it, and a guard that ends it if
 * this process dies without `close`, killed or crashed.
 */
export async function startServer(cluster: Cluster, args: readonly string[]): Promise<ServerProcess> {
  await clearStaleLock(cluster.folder);
  const child = spawn(cluster.binaries.postgres, ["-D", cluster.folder, ...args], {
    ...cluster.user,
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  const said = collectOutput(child, cluster.log);
  const guard = startGuard(child.pid, cluster.folder);
  try {
    await Promise.race([
      seen(child, readyMessage),
      exited.then(([code]) => {
        throw new Error(`LOCAL_DATABASE_START: postgres ended with ${code}: ${said().trim()}`);
      }),
    ]);
  } catch (error) {
    guard?.stdin?.end();
    throw error;
  }
  return { pid: child.pid ?? 0, close: () => stop({ child, guard, exited }) };
}

type Running = { readonly child: ChildProcess; readonly guard: ChildProcess | null; readonly exited: Promise<unknown> };

const fastShutdownMilliseconds = 15_000;

/**
 * SIGINT is PostgreSQL's fast shutdown: it ends sessions, writes a checkpoint and goes. In the middle of a recovery
 * PostgreSQL 18 takes it and then stays for ever; SIGQUIT ends it then, too, and the next start recovers again.
 */
async function stop({ child, guard, exited }: Running): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGINT");
  const insisting = setTimeout(() => child.kill("SIGQUIT"), fastShutdownMilliseconds);
  await exited;
  clearTimeout(insisting);
  guard?.stdin?.end();
}

/** A shell that reads until we are gone, then ends the server if it is still the one that owns the directory. */
function startGuard(pid: number | undefined, folder: string): ChildProcess | null {
  if (process.platform === "win32" || pid === undefined) return null;
  const script = 'read _; [ "$(head -n 1 "$2")" = "$1" ] && kill -INT "$1"';
  const guard = spawn("sh", ["-c", script, "guard", String(pid), join(folder, "postmaster.pid")], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.unref();
  return guard;
}

/** A crash leaves postmaster.pid behind; by the next start another program may have that process id. */
async function clearStaleLock(folder: string): Promise<void> {
  const lock = join(folder, "postmaster.pid");
  if (!existsSync(lock)) return;
  const pid = Number((await readFile(lock, "utf8")).split("\n", 1)[0]);
  const command = commandOf(pid);
  if (command.includes(folder)) {
    throw new Error(`LOCAL_DATABASE_RUNNING: ${folder} is in use by PostgreSQL, process ${pid}; end that one first`);
  }
  await rm(lock, { force: true });
}

function commandOf(pid: number): string {
  try {
    return execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return ""; // ps fails where there is no such process
  }
}

function collectOutput(child: ChildProcess, log: (text: string) => void): () => string {
  let tail = "";
  const take = (chunk: Buffer): void => {
    const text = chunk.toString("utf8");
    tail = (tail + text).slice(-2_000);
    log(text);
  };
  child.stdout?.on("data", take);
  child.stderr?.on("data", take);
  return () => tail;
}

function seen(child: ChildProcess, message: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.stderr?.on("data", (chunk: Buffer) => {
      if (chunk.includes(message)) resolve();
    });
  });
}
