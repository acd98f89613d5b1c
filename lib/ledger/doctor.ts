import { createHash } from "node:crypto";
import type postgres from "postgres";
import type { ContractFacts, DatabaseDoctor, LoadFacts, ReasonedBatch, UnindexedKey } from "../core/doctor.ts";
import { readControl } from "./doctor-control.ts";
import { readRights } from "./doctor-rights.ts";
import { readServer } from "./doctor-server.ts";
import { inTransaction, type Tx } from "./transaction.ts";

export type DatabaseDoctorOptions = {
  /** Opens the database at first use: that it cannot be opened is something to say, and no reason to say nothing. */
  readonly open: () => Promise<postgres.Sql>;
  /** Schema of the target tables. */
  readonly schema: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
};

/** Seconds that a statement may take. */
const lookSeconds = 4;
/** Shorter, so that the answer says who holds the lock. */
const lockMilliseconds = 2_000;

export function openDatabaseDoctor({ open, schema, now }: DatabaseDoctorOptions): DatabaseDoctor {
  const look = async <Facts>(read: (tx: Tx) => Promise<Facts>): Promise<Facts> =>
    inTransaction(await open(), { budget: lookSeconds, lockMilliseconds }, async (tx) => {
      await tx`set transaction read only`;
      return read(tx);
    });
  return {
    server: () => look((tx) => readServer(tx, now)),
    control: () => look(readControl),
    rights: (tables) => look((tx) => readRights(tx, schema, tables)),
    unindexed: (tables) => look((tx) => readUnindexed(tx, schema, tables)),
    contracts: (text) => look((tx) => readContracts(tx, text)),
    loads: () => look(readLoads),
  };
}

async function readUnindexed(tx: Tx, schema: string, tables: readonly string[]): Promise<UnindexedKey[]> {
  const rows = await tx<UnindexedKey[]>`
    select c.relname as "table", k.conname as "constraint",
           array(select a.attname::text from unnest(k.conkey) with ordinality as u(attnum, place)
                 join pg_attribute a on a.attrelid = c.oid and a.attnum = u.attnum order by u.place) as columns
    from pg_constraint k
    join pg_class c on c.oid = k.conrelid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname = any(${[...tables]}::text[]) and k.contype = 'f' and k.conparentid = 0
      and not exists (
        select from pg_index i
        where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null
          -- an int2vector counts from 0; the key's columns come first, in any order
          and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
    order by 1, 2
  `;
  return [...rows];
}

async function readContracts(tx: Tx, text: string | null): Promise<ContractFacts> {
  const hash = text === null ? "" : createHash("sha256").update(text).digest("hex").slice(0, 32);
  const [known] = await tx`select from table_loader.contracts where hash = ${hash}`;
  const [lastGood] = await tx<NonNullable<ContractFacts["lastGood"]>[]>`
    select hash, body, to_json(last_valid_at)#>>'{}' as "validAt"
    from table_loader.contracts order by last_valid_at desc limit 1
  `;
  const queued = await tx<{ table_name: string }[]>`
    select distinct table_name from public.validation_queue
    where validation_status in ('pending', 'validated', 'loading') order by 1 limit 1000
  `;
  const queuedTables = queued.map(({ table_name: table }) => table);
  return { known: known !== undefined, lastGood: lastGood ?? null, queuedTables };
}

const mostNamed = 5;

async function readLoads(tx: Tx): Promise<LoadFacts> {
  const [sweep] = await tx<{ ago: number | null; age: number }[]>`
    select extract(epoch from clock_timestamp() - greatest(
             (select max(moved_at) from table_loader.cursors),
             (select clock_timestamp() from table_loader.leases where name = 'sweep' and lease_until > clock_timestamp())
           ))::float8 as ago,
           coalesce(extract(epoch from clock_timestamp() - (select min(run_at) from table_loader.migrations)), 0)::float8
             as age
  `;
  const [counts] = await tx<{ orphans: number; missed: number }[]>`
    select (select count(*) from table_loader.plans p
            where p.created_at < now() - interval '30 minutes' and coalesce(p.lease_until < clock_timestamp(), true)
              and not exists (select from table_loader.batches b where b.plan_id = p.plan_id))
         + (select count(distinct substring(tablename from '^p([0-9]+)_')) from pg_tables
            where schemaname = 'table_loader_staging' and tablename ~ '^p[0-9]+_'
              and not exists (select from table_loader.plans p
                              where p.plan_id = substring(tablename from '^p([0-9]+)_')::bigint)) as orphans,
           (select count(distinct batch_id) from table_loader.healings
            where kind = 'EVENT_MISSED' and healed_at > now() - interval '1 hour') as missed
  `;
  return {
    sweptSecondsAgo: sweep?.ago ?? null,
    ageSeconds: sweep?.age ?? 0,
    stalled: await unwell(tx, "STALLED"),
    blocked: await unwell(tx, "BLOCKED"),
    waiting: await longWaiting(tx),
    orphans: counts?.orphans ?? 0,
    missedEvents: counts?.missed ?? 0,
  };
}

async function unwell(tx: Tx, health: string): Promise<ReasonedBatch[]> {
  const rows = await tx<ReasonedBatch[]>`
    select b.batch_id as "batchId",
           coalesce(b.reason_code || ': ' || b.reason, b.state || ', unchanged since '
             || (to_json(b.updated_at)#>>'{}')) as reason
    from public.loader_status s join table_loader.batches b on b.batch_id = s.source
    where s.health_status = ${health} order by b.updated_at limit ${mostNamed}
  `;
  return [...rows];
}

async function longWaiting(tx: Tx): Promise<ReasonedBatch[]> {
  const rows = await tx<ReasonedBatch[]>`
    select batch_id as "batchId", coalesce(reason_code || ': ' || reason, 'no reason is known') as reason
    from table_loader.batches
    where state = 'waiting' and waiting_since < now() - interval '24 hours' order by waiting_since limit ${mostNamed}
  `;
  return [...rows];
}
