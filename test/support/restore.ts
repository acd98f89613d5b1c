import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { loadedPrefix } from "../../lib/core/keys.ts";
import type { Flow } from "./flow.ts";

/** The database as it was at one moment, to go back to it. */
export type Snapshot = { restore(): Promise<void> };

/** A copy of the whole database. Whoever is connected is cut off, as by a restore; connections open by themselves. */
export async function takeSnapshot({ database }: Pick<Flow, "database">): Promise<Snapshot> {
  const { name, server } = database;
  const copy = `copy_${randomBytes(6).toString("hex")}`;
  await copyDatabase(server, { from: name, to: copy });
  return {
    async restore() {
      await asAdmin(server, (admin) => admin`drop database ${admin(name)} with (force)`);
      await copyDatabase(server, { from: copy, to: name });
      await asAdmin(server, (admin) => admin`drop database ${admin(copy)} with (force)`);
      await emptyUnlogged(database);
    },
  };
}

type Server = Flow["database"]["server"];

async function copyDatabase(server: Server, { from, to }: { from: string; to: string }): Promise<void> {
  await asAdmin(server, async (admin) => {
    await admin`alter database ${admin(from)} allow_connections false`;
    await admin`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = ${from}`;
    await admin`create database ${admin(to)} template ${admin(from)} owner ${admin(server.user)}`;
    await admin`alter database ${admin(from)} allow_connections true`;
  });
}

async function asAdmin(server: Server, work: (admin: postgres.Sql) => Promise<unknown>): Promise<void> {
  const admin = postgres(server.adminUrl, { max: 1, onnotice: () => {} });
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

/** A restore to a point in time brings no rows of unlogged tables. */
async function emptyUnlogged({ sql }: Flow["database"]): Promise<void> {
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'table_loader_staging'`;
  for (const { name } of tables) await sql.unsafe(`truncate ${name}`);
}

export const archiveOf = (flow: Flow, batchId: string): string[] => flow.objects(`${loadedPrefix}${batchId}/`);
