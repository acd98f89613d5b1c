import type postgres from "postgres";
import type { BatchState } from "../core/batch.ts";
import type { BatchInLedger, Retention, Sweeps } from "../core/ports.ts";
import { discardPlan, type StagingTables } from "./plans.ts";
import { inTransaction, type Tx } from "./transaction.ts";

type SweepPorts = { readonly sql: postgres.Sql; readonly staging: StagingTables };

const leaseName = "sweep";
const leaseSeconds = 600;
/** A plan without a batch that points to it may be one that is just being made. */
const orphanMinutes = 10;

export function openSweeps({ sql, staging }: SweepPorts): Sweeps {
  return {
    begin: (owner) => inTransaction(sql, {}, (tx) => begin(tx, owner)),
    end: async (owner) => {
      await sql`delete from table_loader.leases where name = ${leaseName} and owner = ${owner}`;
    },
    interrupted: () => inTransaction(sql, {}, readInterrupted),
    inLedger: (batchId) => inTransaction(sql, {}, (tx) => readBatch(tx, batchId)),
    dropOrphans: () => inTransaction(sql, {}, (tx) => dropOrphans(tx, staging)),
    forgetOld: (retention) => inTransaction(sql, {}, (tx) => forgetOld(tx, retention)),
    gauges: async () => {
      const [row] = await sql<{ stalled: number; blocked: number }[]>`
        select count(*) filter (where health_status = 'STALLED') as stalled,
               count(*) filter (where health_status = 'BLOCKED') as blocked
        from public.loader_status
      `;
      return { stalled: row?.stalled ?? 0, blocked: row?.blocked ?? 0 };
    },
  };
}

/** In portions: a sweep is short, and the next one goes on. Audit rows that are not ours have no batch. */
const forgottenAtOnce = 10_000;

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
  return images.count + audits.count;
}

/** A lease row, and no session lock: a proxy may hand the session to somebody else. */
async function begin(tx: Tx, owner: string): Promise<boolean> {
  const taken = await tx`
    insert into table_loader.leases as l (name, owner, lease_until)
    values (${leaseName}, ${owner}, clock_timestamp() + make_interval(secs => ${leaseSeconds}))
    on conflict (name) do update set owner = excluded.owner, lease_until = excluded.lease_until
    where l.lease_until < clock_timestamp()
  `;
  return taken.count === 1;
}

/** Loads whose lease has ended: whoever held it is gone. A locked row is at work. */
async function readInterrupted(tx: Tx): Promise<{ batchId: string; visits: number }[]> {
  const rows = await tx<{ batch_id: string; visits: number }[]>`
    select b.batch_id, ${visits(tx)} as visits
    from table_loader.batches b
    where coalesce(lease_until < clock_timestamp(), true)
      and (state in ('loading', 'committed', 'archived', 'failing') or owner is not null)
    order by updated_at
    limit 200
    for update skip locked
  `;
  return rows.map(({ batch_id: batchId, visits: count }) => ({ batchId, visits: count }));
}

const visits = (tx: Tx) => tx`
  b.fence + coalesce((select w.wake from table_loader.batch_wakes w where w.batch_id = b.batch_id), 0)
`;

async function readBatch(tx: Tx, batchId: string): Promise<BatchInLedger | null> {
  const [row] = await tx<
    { state: BatchState; epoch: number; visits: number; leased: boolean; waiting_hours: number | null }[]
  >`
    select state, epoch, ${visits(tx)} as visits, coalesce(lease_until > clock_timestamp(), false) as leased,
           extract(epoch from now() - waiting_since)::float8 / 3600 as waiting_hours
    from table_loader.batches b where batch_id = ${batchId}
  `;
  if (!row) return null;
  const { waiting_hours: waitingHours, ...batch } = row;
  return { ...batch, waitingHours };
}

/** Plans that no batch points to and no preview holds, and staging tables that have lost their plan. */
async function dropOrphans(tx: Tx, staging: StagingTables): Promise<number> {
  const plans = await tx<{ plan_id: number }[]>`
    select p.plan_id
    from table_loader.plans p
    where p.created_at < now() - make_interval(mins => ${orphanMinutes})
      and coalesce(p.lease_until < clock_timestamp(), true)
      and not exists (select from table_loader.batches b where b.plan_id = p.plan_id)
    for update skip locked
  `;
  const tables = await tx<{ plan_id: number }[]>`
    select distinct substring(tablename from '^p([0-9]+)_')::bigint as plan_id
    from pg_tables
    where schemaname = 'table_loader_staging' and tablename ~ '^p[0-9]+_'
      and not exists (select from table_loader.plans p where p.plan_id = substring(tablename from '^p([0-9]+)_')::bigint)
  `;
  const orphans = [...plans, ...tables];
  for (const { plan_id: planId } of orphans) await discardPlan(tx, staging, planId);
  return orphans.length;
}
