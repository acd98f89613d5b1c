import postgres from "postgres";
import { overrideEnvironment } from "../../lib/config.ts";
import { contractsKey, loadedPrefix, stagingPrefix, stagingPrefixOf, successMarker } from "../../lib/core/keys.ts";
import type { ListedObject, ObjectArchive, ObjectStore, ObjectVersion } from "../../lib/core/objects.ts";
import { openContractStore } from "../../lib/ledger/contracts.ts";
import { migrate } from "../../lib/ledger/migrate.ts";
import type { LocalPostgres } from "../../lib/local/postgres.ts";
import { closeSql, openSql } from "../../lib/postgres/connection.ts";
import { openLoader } from "../../lib/wiring.ts";
import { asSuperuser } from "../database.ts";
import { blood, tableSql } from "../datasets.ts";

/**
 * The surroundings of the real steps in a simulation: a database of their own whose clock, sessions and limit of
 * connections are the simulation's, and a bucket in memory.
 */
export type World = {
  readonly sql: postgres.Sql;
  readonly bucket: MemoryBucket;
  readonly ports: LoaderPorts;
  /** Sets the time and the number of sessions that the database reports. */
  set(state: { readonly seconds: number; readonly connections: number }): Promise<void>;
  /** Rows in the table that is loaded. */
  rows(): Promise<number>;
  /** Size of the ledger and the control tables on disk, with their indexes. */
  ledgerBytes(): Promise<number>;
  close(): Promise<void>;
};

type LoaderPorts = Awaited<ReturnType<typeof openLoader>>["ports"];

export type WorldOptions = {
  readonly server: LocalPostgres;
  readonly maxConnections: number;
  readonly maxWorkers: number;
  readonly maxLoads: number;
};

export const dataset = blood();
/** Beginning of simulated time. */
const epoch = Date.UTC(2026, 0, 1);
export const dateAt = (seconds: number): Date => new Date(epoch + seconds * 1000);

let worlds = 0;

export async function openWorld(options: WorldOptions): Promise<World> {
  const { server } = options;
  worlds += 1;
  const name = `world_${process.pid}_${worlds}`;
  await asSuperuser(server, (admin) => admin`create database ${admin(name)} owner ${admin(server.user)}`);
  const { host, port, user, password } = server;
  const login = { host, port, user, password, database: name };
  await simulateServer(login, options);
  const sql = postgres({ ...login, max: 1, onnotice: () => {} });
  await migrate(sql);
  await sql.unsafe(tableSql(dataset));
  const contract = { natural_key: dataset.key, update_strategy: "insert_only" };
  const contracts = JSON.stringify({ commit: "batch", tables: { [dataset.table]: contract } });
  const bucket = openMemoryBucket(contracts, recordOf);
  const loader = await openPorts(login, options, bucket);
  return {
    sql,
    bucket,
    ports: loader.ports,
    set: async ({ seconds, connections }) => {
      await sql`update simulated.state set at = ${dateAt(seconds).toISOString()}, connections = ${connections}`;
    },
    rows: async () => Number((await sql<{ count: string }[]>`select count(*) from ${sql(dataset.table)}`)[0]?.count),
    ledgerBytes: () => ledgerBytes(sql),
    close: async () => {
      await loader.close();
      await sql.end();
      await asSuperuser(server, (admin) => admin`drop database ${admin(name)} with (force)`);
    },
  };
}

type Login = Readonly<Record<"host" | "user" | "password" | "database", string>> & { readonly port: number };

/**
 * Names are looked up in the schema `simulated` before the server's own catalog, so that the loader's statements, word
 * for word as they are deployed, read the simulation's clock and sessions.
 */
async function simulateServer({ host, port, user, password, database }: Login, { maxConnections }: WorldOptions) {
  const sql = postgres({ host, port, user, password, database, max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(`
      alter database ${database} set search_path = simulated, pg_catalog, public;
      create schema simulated;
      create table simulated.state (at timestamptz, connections integer, max_connections integer);
      insert into simulated.state values ('${dateAt(0).toISOString()}', 0, ${maxConnections});
      create function simulated.clock_timestamp() returns timestamptz language sql volatile
        as 'select at from simulated.state';
      create function simulated.now() returns timestamptz language sql stable as 'select at from simulated.state';
      create view simulated.pg_stat_database as select connections as numbackends from simulated.state;
      create function simulated.current_setting(text) returns text language sql stable as $$
        select case when $1 = 'max_connections' then (select max_connections::text from simulated.state)
                    else pg_catalog.current_setting($1) end $$;
      create schema if not exists public;`);
  } finally {
    await sql.end();
  }
}

async function openPorts(login: Login, { maxWorkers, maxLoads }: WorldOptions, bucket: MemoryBucket) {
  const { host, port, user, password, database } = login;
  overrideEnvironment({
    ...{ DB_HOST: host, DB_PORT: String(port), DB_NAME: database, DB_USER: user, DB_PASSWORD: password },
    ...{ DB_AUTH: "password", DB_TLS: "off", DB_POOL_MIN: "1", DB_POOL_MAX: "1" },
    ...{ MAX_WORKERS: String(maxWorkers), MAX_LOADS: String(maxLoads), BATCH_ID_PATTERN: "^batch_[0-9]+_[0-9]+$" },
    // Nothing is called there: the bucket in memory stands in for S3.
    ...{ LOCAL_ENDPOINT: "http://127.0.0.1:9", LOG_LEVEL: "SILENT" },
  });
  const loader = await openLoader();
  const sql = openSql({ host, port, database, user, password: () => password, tls: null });
  const contracts = openContractStore({ sql, store: bucket, catalog: loader.ports.catalog });
  const close = async (): Promise<void> => {
    await closeSql(sql);
    await loader.close();
  };
  return { ports: { ...loader.ports, store: bucket as never, archive: bucket as never, contracts }, close };
}

async function ledgerBytes(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ bytes: string }[]>`
    select sum(pg_total_relation_size(c.oid)) as bytes
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r'
      and (n.nspname = 'table_loader' or (n.nspname = 'public' and c.relname <> ${dataset.table}))
  `;
  return Number(row?.bytes ?? 0);
}

/** One record, whose key no other fragment has. */
function recordOf(stagedKey: string): object {
  const { fields, key } = dataset;
  const required = fields.filter(({ notNull, name }) => notNull && !key.includes(name));
  const values = required.map(({ name, type }) => [name, type === "date" ? "2026-01-01" : "simulated"]);
  return { ...Object.fromEntries(key.map((name) => [name, stagedKey])), ...Object.fromEntries(values) };
}

/**
 * A bucket in memory for a simulation: objects have the size that the simulation wants, and hold one record each.
 * It counts nothing and takes no time; the clock adds the time of S3.
 */
type MemoryBucket = ObjectStore &
  ObjectArchive & {
    /** Puts the parts of one table, and the marker that it is complete, into staging. */
    stage(batch: StagedBatch): void;
  };

type StagedBatch = {
  readonly batchId: string;
  readonly table: string;
  readonly fragments: number;
  /** Size of each fragment in the listing. */
  readonly bytes: number;
  readonly at: Date;
};

function openMemoryBucket(contracts: string, recordOf: (stagedKey: string) => object): MemoryBucket {
  const folders = new Map<string, Map<string, ListedObject>>();
  const texts = new Map([[contractsKey, contracts]]);
  const folderAt = (key: string): Map<string, ListedObject> => {
    const name = folderOf(key);
    const folder = folders.get(name) ?? new Map<string, ListedObject>();
    folders.set(name, folder);
    return folder;
  };
  const put = (object: ListedObject): void => void folderAt(object.key).set(object.key, object);
  const remove = ({ key }: ObjectVersion): void => void folderAt(key).delete(key);
  return {
    stage: ({ batchId, table, fragments, bytes, at }) => {
      const folder = `${stagingPrefixOf(batchId)}${table}/`;
      const names = Array.from({ length: fragments }, (_, index) => `part-${String(index).padStart(5, "0")}.json`);
      for (const name of names) put(objectOf(`${folder}${name}`, bytes, at));
      put(objectOf(`${folder}${successMarker}`, 0, at));
    },
    list: async function* (prefix) {
      for (const object of folderAt(prefix).values()) if (object.key.startsWith(prefix)) yield object;
    },
    folders: async function* () {},
    keys: async () => [],
    read: async ({ key }) => ({ bytes: bytesOf(JSON.stringify({ records: [recordOf(key)] })), contentEncoding: null }),
    readText: async (key) => {
      const text = texts.get(key);
      return text === undefined ? null : { text, etag: "text" };
    },
    write: async (key, json) => void texts.set(key, json),
    move: async (version, toKey) => {
      put({ ...version, key: toKey, isLatest: true });
      remove(version);
    },
    remove: async (version) => remove(version),
  };
}

const objectOf = (key: string, size: number, lastModified: Date): ListedObject => ({
  key,
  versionId: "1",
  etag: "one",
  size,
  lastModified,
  isLatest: true,
});

/** The folder of a batch in staging or in the archive. */
function folderOf(key: string): string {
  const root = [stagingPrefix, loadedPrefix].find((prefix) => key.startsWith(prefix)) ?? "";
  return `${root}${key.slice(root.length).split("/")[0]}/`;
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
