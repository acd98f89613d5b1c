import type postgres from "postgres";
import { orphanMinutes, sweepLeaseSeconds } from "../core/durations.ts";
import { type ArchivedKey, parseFragmentKey } from "../core/keys.ts";
import type {
  CursorName,
  Healing,
  Leftovers,
  Retention,
  SweepGauges,
  Sweeps,
  UncommittedObjects,
  UncommittedOfBatch,
} from "../core/sweep-ports.ts";
import type { StagingTables } from "../core/target.ts";
import { inTransaction, type Tx, wholeBatch } from "../postgres/transaction.ts";
import { toVersionRow } from "./batches.ts";
import { discardPlan } from "./plans.ts";

const leaseName = "sweep";

export function openSweeps(sql: postgres.Sql): Sweeps {
  return {
    begin: (owner) => inTransaction(sql, {}, (tx) => begin(tx, owner)),
    end: (owner) =>
      inTransaction(sql, {}, async (tx) => {
        await tx`delete from table_loader.leases where name = ${leaseName} and owner = ${owner}`;
      }),
    cursor: (name) => inTransaction(sql, {}, (tx) => readCursor(tx, name)),
    moveCursor: (name, position) => inTransaction(sql, {}, (tx) => moveCursor(tx, name, position)),
    record: ({ batchId, kind, detail }) =>
      inTransaction(sql, {}, async (tx) => {
        await tx`insert into table_loader.healings (batch_id, kind, detail) values (${batchId}, ${kind}, ${detail})`;
      }),
    gauges: () => inTransaction(sql, {}, readGauges),
  };
}

/** Takes the lease as a row: a lock of the session could pass to another client of a proxy. */
async function begin(tx: Tx, owner: string): Promise<boolean> {
  const taken = await tx`
    insert into table_loader.leases as l (name, owner, lease_until)
    values (${leaseName}, ${owner}, clock_timestamp() + make_interval(secs => ${sweepLeaseSeconds}))
    on conflict (name) do update set owner = excluded.owner, lease_until = excluded.lease_until
    where l.lease_until < clock_timestamp()
  `;
  return taken.count === 1;
}

type GaugeRow = Omit<SweepGauges, "deadlocks"> & { readonly counted: number };

/** Looks only at batches that are not done: the number of those that are grows for ever. */
async function readGauges(tx: Tx): Promise<SweepGauges> {
  const [row] = await tx<[GaugeRow]>`
    select count(*) filter (where s.health_status = 'STALLED') as stalled,
           count(*) filter (where s.health_status = 'BLOCKED') as blocked,
           count(*) filter (where s.health_status = 'WAITING' and b.reason_code is distinct from 'IN_LINE') as waiting,
           coalesce(greatest(0, max(extract(epoch from clock_timestamp() - b.updated_at))
             filter (where b.state = 'loading')), 0)::float8 as "secondsSinceCheckpoint",
           (select count(*) from table_loader.line
            where not admitted and expires_at > clock_timestamp()) as "inLine",
           (select count(*) from table_loader.work_items
            where state = 'pending' and kind = 'fragment') as "pendingItems",
           (select 100.0 * sum(numbackends) / current_setting('max_connections')::integer
            from pg_stat_database)::float8 as "connectionsUsed",
           (select deadlocks from pg_stat_database where datname = current_database()) as counted
    from table_loader.batches b
    join public.loader_status s on s.source = b.batch_id
    where b.owner is not null or b.state in ('waiting', 'loading', 'committed', 'archived', 'failing')
  `;
  const { counted, ...gauges } = row;
  return { ...gauges, deadlocks: await sinceLastSweep(tx, counted) };
}

/** The server's count goes back to 0 if its statistics are reset. */
async function sinceLastSweep(tx: Tx, counted: number): Promise<number> {
  const last = await readCursor(tx, "deadlocks");
  await moveCursor(tx, "deadlocks", String(counted));
  if (last === "") return 0;
  return counted < Number(last) ? counted : counted - Number(last);
}

async function readCursor(tx: Tx, name: CursorName): Promise<string> {
  const [row] = await tx<{ position: string }[]>`select position from table_loader.cursors where name = ${name}`;
  return row?.position ?? "";
}

async function moveCursor(tx: Tx, name: CursorName, position: string): Promise<void> {
  await tx`
    insert into table_loader.cursors (name, position) values (${name}, ${position})
    on conflict (name) do update set position = excluded.position, moved_at = clock_timestamp()
  `;
}

export function openLeftovers({ sql, staging }: { sql: postgres.Sql; staging: StagingTables }): Leftovers {
  return {
    dropOrphans: () => inTransaction(sql, wholeBatch, (tx) => dropOrphans(tx, staging)),
    forgetOld: (retention) => inTransaction(sql, {}, (tx) => forgetOld(tx, retention)),
  };
}

/** Rows of each table that one sweep deletes: it has to be short, and the next one goes on. */
const forgottenAtOnce = 10_000;

/** Keeps audit rows without a batch: they are not the loader's. */
async function forgetOld(tx: Tx, { undoRetentionDays, auditRetentionDays }: Retention): Promise<number> {
  const images = await tx`
    delete from table_loader.undo_images where ctid in (
      select ctid from table_loader.undo_images
      where recorded_at < now() - make_interval(days => ${undoRetentionDays}) limit ${forgottenAtOnce})
  `;
  const audits = await tx`
    delete from public.audit_log where id in (
      select id from public.audit_log
      where batch_id is not null and changed_at < now() - make_interval(days => ${auditRetentionDays})
      limit ${forgottenAtOnce})
  `;
  const healings = await tx`
    delete from table_loader.healings where healing_id in (
      select healing_id from table_loader.healings
      where healed_at < now() - make_interval(days => ${auditRetentionDays}) limit ${forgottenAtOnce})
  `;
  return images.count + audits.count + healings.count;
}

const orphansAtOnce = 100;

type Orphan = { readonly plan_id: number; readonly batch_id: string | null };

const stagedPlans = (tx: Tx) => tx<{ plan_id: number }[]>`
  select distinct substring(tablename from '^p([0-9]+)_')::bigint as plan_id
  from pg_tables where schemaname = 'table_loader_staging' and tablename ~ '^p[0-9]+_'
`;

/**
 * Drops plans that no batch or preview uses, and staging tables without a plan. Those that another session has locked
 * are left to a later sweep, and are not reported as healed.
 */
async function dropOrphans(tx: Tx, staging: StagingTables): Promise<Healing[]> {
  const plans = await tx<Orphan[]>`
    select p.plan_id, p.batch_id
    from table_loader.plans p
    where p.created_at < now() - make_interval(mins => ${orphanMinutes})
      and coalesce(p.lease_until < clock_timestamp(), true)
      and not exists (select from table_loader.batches b where b.plan_id = p.plan_id)
    limit ${orphansAtOnce}
    for update skip locked
  `;
  const tables = await tx<Orphan[]>`
    select s.plan_id,
           (select a.batch_id from table_loader.attempts a where a.plan_id = s.plan_id limit 1) as batch_id
    from (${stagedPlans(tx)}) s
    where not exists (select from table_loader.plans p where p.plan_id = s.plan_id)
    limit ${orphansAtOnce}
  `;
  const orphans = [...plans, ...tables];
  for (const { plan_id: planId } of orphans) await discardPlan(tx, staging, planId);
  const kept = new Set((await stagedPlans(tx)).map(({ plan_id: planId }) => planId));
  const gone = orphans.filter(({ plan_id: planId }) => !kept.has(planId));
  return gone.map(({ plan_id: planId, batch_id: batchId }) => ({
    kind: "ORPHANED_STAGING",
    batchId,
    detail: `plan ${planId} and its staging belonged to no load; dropped`,
  }));
}

export function openUncommittedObjects(sql: postgres.Sql): UncommittedObjects {
  return {
    uncommitted: (keys) => inTransaction(sql, {}, (tx) => readUncommitted(tx, keys)),
    record: (found) =>
      inTransaction(sql, {}, async (tx) => {
        await registerBatch(tx, found);
        await recordUncommitted(tx, found);
      }),
    batches: (after, limit) =>
      inTransaction(sql, {}, async (tx) => {
        const rows = await tx<{ batch_id: string }[]>`
          select distinct v.batch_id
          from table_loader.object_versions v join table_loader.batches b using (batch_id, epoch)
          where v.state = 'stray' and v.batch_id > ${after}
          order by v.batch_id
          limit ${limit}
        `;
        return rows.map(({ batch_id: batchId }) => batchId);
      }),
  };
}

/**
 * Archived keys without a commit: they were loaded before the database was restored to an earlier point in time, since
 * objects leave staging only after the commit of their table, and rows of commits are never deleted.
 */
async function readUncommitted(tx: Tx, keys: readonly ArchivedKey[]): Promise<ArchivedKey[]> {
  const rows = await tx<ArchivedKey[]>`
    select k.key, k."stagedKey", k."batchId", k.epoch, k."table"
    from jsonb_to_recordset(${JSON.stringify(keys)}::text::jsonb)
      as k(key text, "stagedKey" text, "batchId" text, epoch integer, "table" text)
    where not exists (
        select from table_loader.commits c
        where c.batch_id = k."batchId" and c.epoch = k.epoch and c.table_name = k."table")
      and not exists (select from table_loader.object_versions v where v.archived_key = k.key)
  `;
  return [...rows];
}

/**
 * Adds a batch that the ledger does not know, so that it is seen to wait. Its epoch is the latest that is found: what
 * an earlier one loaded had been rolled back by then.
 */
async function registerBatch(tx: Tx, { batchId, epoch }: UncommittedOfBatch): Promise<void> {
  await tx`
    insert into table_loader.batches as b (batch_id, epoch) values (${batchId}, ${epoch})
    on conflict (batch_id) do update set epoch = excluded.epoch
    where b.epoch < excluded.epoch and b.state = 'waiting' and b.owner is null
      and not exists (select from table_loader.commits c where c.batch_id = b.batch_id)
  `;
}

async function recordUncommitted(tx: Tx, { batchId, epoch, objects }: UncommittedOfBatch): Promise<void> {
  const rows = objects.map((seen) => ({
    ...toVersionRow(seen),
    archived_key: seen.object.key,
    // a marker is never loaded itself
    state: parseFragmentKey(seen.stagedKey)?.kind === "fragment" ? "stray" : "seen",
  }));
  await tx`
    delete from table_loader.object_versions
    where batch_id = ${batchId} and epoch = ${epoch} and state = 'stray'
  `;
  await tx`
    insert into table_loader.object_versions as o
      (key, version, epoch, batch_id, table_name, etag, size, last_modified, state, archived_key)
    select v.key, v.version, ${epoch}, ${batchId}, v.table_name, v.etag, v.size, v.last_modified, v.state, v.archived_key
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as v(
      key text, version text, table_name text, etag text, size bigint, last_modified timestamptz, state text,
      archived_key text)
    on conflict (key, version, epoch)
    do update set state = excluded.state, archived_key = excluded.archived_key, updated_at = now()
    where o.state not in ('loaded', 'rolled_back')
  `;
}
