import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { LocalBucket } from "./bucket.ts";
import { machineArn } from "./interpreter.ts";
import type { LocalPostgres } from "./postgres.ts";

/** The file that says which process has a directory's environment open, and how others reach it. */

const environmentFile = z.object({
  pid: z.number().int(),
  startedAt: z.iso.datetime(),
  /** The settings that point a process at the environment; null while it starts. */
  variables: z.record(z.string(), z.string()).nullable(),
});

type EnvironmentFile = z.infer<typeof environmentFile>;

/** A persistent environment that another process has open. */
export type LocalEnvironmentInfo = EnvironmentFile & { readonly variables: Record<string, string> };

const fileName = "local.json";
/** Time after which an environment that is still starting counts as dead. */
const startSeconds = 120;

/** The environment that is open in this directory; null if there is none or its process is gone. */
export async function readLocalEnvironment(directory: string): Promise<LocalEnvironmentInfo | null> {
  const file = await readFileOf(directory);
  if (file === null || file.variables === null || !(await isOpen(file))) return null;
  return { ...file, variables: file.variables };
}

/** @throws Error LOCAL_NOT_RUNNING if no environment is open in the directory */
export async function requireLocalEnvironment(directory: string): Promise<LocalEnvironmentInfo> {
  const info = await readLocalEnvironment(directory);
  if (info) return info;
  throw new Error(`LOCAL_NOT_RUNNING: no local environment runs in ${directory}; start one with: table-loader local`);
}

/** Puts an object into the bucket of an environment that another process has open. */
export async function putLocalObject(
  { variables }: LocalEnvironmentInfo,
  key: string,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<void> {
  const path = key.split("/").map(encodeURIComponent).join("/");
  const url = `${variables["LOCAL_ENDPOINT"]}/${variables["S3_BUCKET"]}/${path}`;
  const response = await fetch(url, { method: "PUT", body });
  if (!response.ok) throw new Error(`LOCAL_S3_PUT: ${url} answered ${response.status}: ${await response.text()}`);
}

/** @throws Error LOCAL_ENVIRONMENT_OPEN that names the process that has the directory open */
export async function claimDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const file = await readFileOf(directory);
  if (file !== null && (await isOpen(file))) {
    throw new Error(
      `LOCAL_ENVIRONMENT_OPEN: ${directory} is open in process ${file.pid} since ${file.startedAt}; ` +
        "use that one, or end it first",
    );
  }
  await writeEnvironmentFile(directory, null);
}

export async function writeEnvironmentFile(directory: string, variables: Record<string, string> | null): Promise<void> {
  const file: EnvironmentFile = { pid: process.pid, startedAt: new Date().toISOString(), variables };
  const path = join(directory, fileName);
  // For the owner alone: it holds the database's password.
  await writeFile(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

export async function removeEnvironmentFile(directory: string): Promise<void> {
  await rm(join(directory, fileName), { force: true });
}

async function readFileOf(directory: string): Promise<EnvironmentFile | null> {
  const text = await readFile(join(directory, fileName), "utf8").catch(() => null);
  return text === null ? null : (environmentFile.safeParse(JSON.parse(text)).data ?? null);
}

/** Asks the environment as well: a process id alone proves little, since the system uses it again. */
async function isOpen({ pid, startedAt, variables }: EnvironmentFile): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (variables === null) return Date.now() - Date.parse(startedAt) < startSeconds * 1_000;
  return fetch(`${variables.LOCAL_ENDPOINT}/health`).then(
    (response) => response.ok,
    () => false,
  );
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

type Places = {
  readonly database: Pick<LocalPostgres, "host" | "port" | "database" | "user" | "password">;
  readonly bucket: LocalBucket;
  readonly machinePort: number;
  readonly logLevel: string;
};

/** The settings that point a process at the environment. */
export function toVariables({ database, bucket, machinePort, logLevel }: Places): Record<string, string> {
  return {
    DB_HOST: database.host,
    DB_PORT: String(database.port),
    DB_NAME: database.database,
    DB_USER: database.user,
    DB_PASSWORD: database.password,
    DB_AUTH: "password",
    DB_TLS: "off",
    S3_BUCKET: bucket.name,
    S3_VERSIONING: "disabled",
    AWS_REGION: bucket.region,
    LOCAL_ENDPOINT: bucket.endpoint,
    LOCAL_MACHINE_ENDPOINT: `http://127.0.0.1:${machinePort}`,
    STATE_MACHINE_ARN: machineArn(bucket.region),
    ARRIVALS_QUEUE_URL: bucket.arrivals.url,
    DEAD_LETTER_QUEUE_URL: bucket.deadLetters.url,
    LOG_LEVEL: logLevel,
  };
}

/** URL of the database, as the role of the loader. */
export function urlOf({ host, port, user, password, database }: Places["database"]): string {
  return `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
}
