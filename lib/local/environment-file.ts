import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { overrideEnvironment } from "../config.ts";
import type { LocalBucket } from "./bucket.ts";
import { machineArn } from "./interpreter.ts";
import type { LocalPostgres } from "./postgres.ts";

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
/** An environment that has not come up by then died in the attempt. */
const startSeconds = 120;

/** The environment that is open in this directory, or null where there is none or its process is gone. */
export async function readLocalEnvironment(directory: string): Promise<LocalEnvironmentInfo | null> {
  const file = await readFileOf(directory);
  if (file === null || file.variables === null || !(await isOpen(file))) return null;
  return { ...file, variables: file.variables };
}

/** @throws Error naming the process that has the directory open */
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
  // It holds the database's password.
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

/** A process id alone proves little, since the system uses it again: the environment must answer, too. */
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

export function urlOf({ host, port, user, password, database }: Places["database"]): string {
  return `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
}

/** Points this process's handlers at an environment that another process has open. */
export function attachLocalEnvironment(info: LocalEnvironmentInfo): void {
  overrideEnvironment(info.variables);
}
