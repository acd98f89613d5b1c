import postgres from "postgres";
import { migrate } from "../lib/ledger/migrate.ts";
import type { LocalPostgres } from "../lib/local/postgres.ts";
import { type Dataset, tableSql } from "./datasets.ts";

/** A database for one measured load alone, so that nothing is left of the one before. */
export type Database = {
  readonly name: string;
  readonly server: LocalPostgres;
  /** Connects as the loader's role. */
  readonly sql: postgres.Sql;
  /** The settings that point the loader at it. */
  readonly variables: Readonly<Record<string, string>>;
  /** Row counts and checksums of the tables: equal texts for equal rows, whatever their order. */
  fingerprint(datasets: readonly Dataset[]): Promise<string>;
  close(): Promise<void>;
};

const template = "bench_template";
let databases = 0;

/** Makes the template of all databases, with the ledger and the control tables. */
export async function openTemplate(server: LocalPostgres): Promise<void> {
  await asSuperuser(server, (admin) => admin`create database ${admin(template)} owner ${admin(server.user)}`);
  const sql = connect(server, template);
  await migrate(sql).finally(() => sql.end());
}

export async function openDatabase(server: LocalPostgres, datasets: readonly Dataset[]): Promise<Database> {
  databases += 1;
  const name = `bench_${databases}`;
  await asSuperuser(
    server,
    (admin) => admin`create database ${admin(name)} template ${admin(template)} owner ${admin(server.user)}`,
  );
  const sql = connect(server, name);
  for (const dataset of datasets) await sql.unsafe(tableSql(dataset));
  return {
    name,
    server,
    sql,
    variables: {
      DB_HOST: server.host,
      DB_PORT: String(server.port),
      DB_NAME: name,
      DB_USER: server.user,
      DB_PASSWORD: server.password,
      DB_AUTH: "password",
      DB_TLS: "off",
      DB_POOL_MIN: "1",
      DB_POOL_MAX: "1", // a Lambda has one connection
    },
    fingerprint: async (tables) => (await Promise.all(tables.map((dataset) => fingerprintOf(sql, dataset)))).join(" "),
    close: async () => {
      await sql.end();
      await asSuperuser(server, (admin) => admin`drop database ${admin(name)} with (force)`);
    },
  };
}

/** Flushes earlier writes, so that it does not happen during a measured load. */
export async function checkpoint(server: LocalPostgres): Promise<void> {
  await asSuperuser(server, (admin) => admin`checkpoint`);
}

export async function asSuperuser<T>(server: LocalPostgres, work: (admin: postgres.Sql) => Promise<T>): Promise<T> {
  const admin = postgres(server.adminUrl, { max: 1, onnotice: () => {} });
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

function connect({ host, port, user, password }: LocalPostgres, database: string): postgres.Sql {
  return postgres({ host, port, user, password, database, max: 2, onnotice: () => {} });
}

async function fingerprintOf(sql: postgres.Sql, { table, fields }: Dataset): Promise<string> {
  const row = `row(${fields.map(({ name }) => name).join(", ")})::text`;
  const [found] = await sql.unsafe<{ rows: string; sum: string }[]>(
    `select count(*) as rows, coalesce(sum(hashtextextended(${row}, 0)), 0) as sum from public.${table}`,
  );
  return `${table}: ${found?.rows} rows, checksum ${found?.sum}`;
}
