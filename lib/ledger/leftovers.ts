import type postgres from "postgres";
import type { Healing, Leftovers, Retention } from "../core/sweep-ports.ts";
import { discardPlan, type StagingTables } from "./plans.ts";
import { inTransaction, type Tx, wholeBatch } from "./transaction.ts";

type LeftoverPorts = { readonly sql: postgres.Sql; readonly staging: StagingTables };

/** What nobody needs any more. */
export function openLeftovers({ sql, staging }: LeftoverPorts): Leftovers {
  return {
    dropOrphans: () => inTransaction(sql, wholeBatch, (tx) => dropOrphans(tx, staging)),
    forgetOld: (retention) => inTransaction(sql, {}, (tx) => forgetOld(tx, retention)),
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
  const healings = await tx`
    delete from table_loader.healings where healing_id in (
      select healing_id from table_loader.healings
      where healed_at < now() - make_interval(days => ${auditRetentionDays}) limit ${forgottenAtOnce})
  `;
  return images.count + audits.count + healings.count;
}

/** A plan without a batch that points to it may be one that is just being made. */
const orphanMinutes = 10;
const orphansAtOnce = 100;

type Orphan = { readonly plan_id: number; readonly batch_id: string | null };

const stagedPlans = (tx: Tx) => tx<{ plan_id: number }[]>`
  select distinct substring(tablename from '^p([0-9]+)_')::bigint as plan_id
  from pg_tables where schemaname = 'table_loader_staging' and tablename ~ '^p[0-9]+_'
`;

/**
 * Plans that no batch points to and no preview holds, and staging tables that have lost their plan. What somebody still
 * holds a lock on is left to a later sweep, and is not healed yet.
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
