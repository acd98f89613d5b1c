import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { inject } from "vitest";
import type { TestServer } from "./global-setup.ts";

export type TestDatabase = {
  /** As the role that owns the database. */
  readonly sql: postgres.Sql;
  readonly server: TestServer;
  readonly name: string;
  /** The settings that point the loader at it. */
  readonly variables: Readonly<Record<string, string>>;
  /** A further connection, for statements at the same time. */
  connect(options?: postgres.Options<Record<string, never>>): postgres.Sql;
  close(): Promise<void>;
};

/** Tells the test's own connections from the loader's. */
export const testerName = "tester";

/** A database for one test file, with the migrations applied and the sample's tables made. */
export async function openTestDatabase(server: TestServer = inject("server")): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  await administrate(
    server,
    (admin) => admin`create database ${admin(name)} template ${admin(server.template)} owner ${admin(server.user)}`,
  );
  const { host, port, user, password } = server;
  const connections: postgres.Sql[] = [];
  const connect: TestDatabase["connect"] = (options = {}) => {
    const connection = { application_name: testerName };
    const own = { host, port, user, password, database: name, connection };
    const sql = postgres({ ...own, max: 4, onnotice: () => {}, ...options });
    connections.push(sql);
    return sql;
  };
  const close = async (): Promise<void> => {
    await Promise.all(connections.map((sql) => sql.end({ timeout: 1 })));
    await administrate(server, (admin) => admin`drop database if exists ${admin(name)} with (force)`);
  };
  return { sql: connect(), server, name, variables: toVariables(server, name), connect, close };
}

function toVariables({ host, port, user, password }: TestServer, name: string): Record<string, string> {
  return {
    DB_HOST: host,
    DB_PORT: String(port),
    DB_NAME: name,
    DB_USER: user,
    DB_PASSWORD: password,
    DB_AUTH: "password",
    DB_TLS: "off",
  };
}

async function administrate(server: TestServer, work: (admin: postgres.Sql) => Promise<unknown>): Promise<void> {
  const admin = postgres(server.adminUrl, { max: 1, onnotice: () => {} });
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

/** Copies the whole database, to go back to it. It ends all sessions, as a restore does; connections reopen. */
export async function takeSnapshot({
  database,
}: {
  readonly database: TestDatabase;
}): Promise<{ restore(): Promise<void> }> {
  const { name, server } = database;
  const copy = `copy_${randomBytes(6).toString("hex")}`;
  await copyDatabase(server, { from: name, to: copy });
  return {
    async restore() {
      await administrate(server, (admin) => admin`drop database ${admin(name)} with (force)`);
      await copyDatabase(server, { from: copy, to: name });
      await administrate(server, (admin) => admin`drop database ${admin(copy)} with (force)`);
      await emptyUnlogged(database);
    },
  };
}

async function copyDatabase(server: TestServer, { from, to }: { from: string; to: string }): Promise<void> {
  await administrate(server, async (admin) => {
    await admin`alter database ${admin(from)} allow_connections false`;
    await admin`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = ${from}`;
    await admin`create database ${admin(to)} template ${admin(from)} owner ${admin(server.user)}`;
    await admin`alter database ${admin(from)} allow_connections true`;
  });
}

/** A restore to a point in time brings no rows of unlogged tables. */
async function emptyUnlogged({ sql }: TestDatabase): Promise<void> {
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'table_loader_staging'`;
  for (const { name } of tables) await sql.unsafe(`truncate ${name}`);
}
