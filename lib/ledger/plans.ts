import type postgres from "postgres";
import type { TableState } from "../core/batch.ts";
import { kinds } from "../core/kinds.ts";
import type { Plan, PlanBody } from "../core/plan.ts";
import type { NewPlan, Plans } from "../core/ports.ts";
import type { Run } from "../core/run.ts";
import type { StagingTables } from "../core/target.ts";
import type { NewItem } from "../core/work-item.ts";
import { inTransaction, shareTransaction, type Tx, wholeBatch } from "../postgres/transaction.ts";
import { lockFence, renewLease } from "./claims.ts";
import { giveUpTurn } from "./turns.ts";
import { beginAnew, listItems } from "./work-items.ts";

type PlanPorts = { readonly sql: postgres.Sql; readonly staging: StagingTables; readonly leaseSeconds: number };

export function openPlans(ports: PlanPorts): Plans {
  const { sql, staging } = ports;
  return {
    create: async (plan) => {
      const planId = await inTransaction(sql, wholeBatch, (tx) => create(ports, tx, plan));
      await ensureStaging(ports, { ...plan, planId });
      return planId;
    },
    ensureStaging: (plan) => ensureStaging(ports, plan),
    read: (planId) => readPlan(sql, planId),
    adopt: (claimed, source) =>
      inTransaction(sql, {}, async (tx) => {
        await lockFence(tx, claimed);
        await tx`
          insert into table_loader.attempts
            (batch_id, fence, epoch, attempt, owner, source, plan_id, code, message, result)
          -- the fault of an execution that was ended from outside is no longer one if the batch is committed
          select b.batch_id, b.fence, b.epoch, b.attempt, b.owner, ${source}, b.plan_id,
                 case when a.state <> 'aborted' or b.state = 'failing' then a.code end,
                 case when a.state <> 'aborted' or b.state = 'failing' then a.message end, a.result
          from table_loader.batches b
          left join lateral (
            select a.state, a.code, a.message, a.result from table_loader.attempts a
            where a.batch_id = b.batch_id and a.plan_id = b.plan_id order by a.fence desc limit 1
          ) a on true
          where b.batch_id = ${claimed.batchId}
        `;
      }),
    emptyStaging: (run) => emptyStaging(ports, run),
    discard: (planId) => inTransaction(sql, wholeBatch, (tx) => discardPlan(tx, staging, planId)),
  };
}

async function create({ staging, leaseSeconds }: PlanPorts, tx: Tx, plan: NewPlan): Promise<number> {
  const { fenced } = kinds[plan.kind];
  if (fenced) await discardEarlier(tx, staging, plan);
  const planId = await insertPlan(tx, plan);
  await insertItems(tx, planId, plan.items);
  if (fenced) await startAttempt(tx, plan, planId);
  if (fenced) await giveUpTurn(tx, plan.batchId);
  await renewLease(tx, { ...plan, planId, workers: [] }, leaseSeconds);
  return planId;
}

async function ensureStaging({ staging }: PlanPorts, plan: Parameters<Plans["ensureStaging"]>[0]): Promise<void> {
  if (kinds[plan.kind].stages) await staging.create(plan.planId, plan.body);
}

async function emptyStaging({ sql, staging, leaseSeconds }: PlanPorts, run: Run): Promise<void> {
  const plan = await readPlan(sql, run.planId);
  if (!plan) return;
  const isLoading = await inTransaction(sql, {}, async (tx) => {
    if ((await lockFence(tx, run)) !== "loading") return false;
    const items = await listItems(tx, run.planId);
    await beginAnew(
      tx,
      items.flatMap(({ kind, itemId }) => (kind === "fragment" ? [itemId] : [])),
    );
    await renewLease(tx, run, leaseSeconds);
    return true;
  });
  if (isLoading) await staging.empty(run.planId, plan.body);
}

async function insertPlan(tx: Tx, plan: NewPlan): Promise<number> {
  const [row] = await tx<{ plan_id: number }[]>`
    insert into table_loader.plans (batch_id, run_id, kind, epoch, attempt, body, workers)
    values (${plan.batchId}, ${plan.runId}, ${plan.kind}, ${plan.epoch}, ${plan.attempt},
            ${JSON.stringify(plan.body)}::text::jsonb, ${plan.workers})
    returning plan_id
  `;
  return row?.plan_id ?? 0;
}

async function insertItems(tx: Tx, planId: number, items: readonly NewItem[]): Promise<void> {
  const rows = items.map(({ table, kind, stagedKey, object }) => ({
    table_name: table,
    kind,
    home_key: stagedKey,
    key: object.key,
    version_id: object.versionId,
    etag: object.etag,
    size: object.size,
    last_modified: object.lastModified.toISOString(),
    state: kind === "fragment" ? "pending" : "done",
  }));
  await tx`
    insert into table_loader.work_items
      (plan_id, table_name, kind, home_key, key, version_id, etag, size, last_modified, state)
    select ${planId}, i.table_name, i.kind, i.home_key, i.key, i.version_id, i.etag, i.size, i.last_modified, i.state
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as i(
      table_name text, kind text, home_key text, key text, version_id text, etag text, size bigint,
      last_modified timestamptz, state text)
  `;
}

/** Discards the earlier plan of the batch, if it has one: nothing came of it. */
async function discardEarlier(tx: Tx, staging: StagingTables, plan: NewPlan): Promise<void> {
  await lockFence(tx, plan);
  const [earlier] = await tx<{ plan_id: number }[]>`
    select plan_id from table_loader.batches where batch_id = ${plan.batchId} and plan_id is not null
  `;
  if (earlier) await discardPlan(tx, staging, earlier.plan_id);
}

/** Begins an attempt: marks the batch, its tables and its queue rows as loading. */
async function startAttempt(tx: Tx, plan: NewPlan, planId: number): Promise<void> {
  const loading = kinds[plan.kind].commits;
  const tables = [...new Set(plan.items.map(({ table }) => table))];
  await tx`
    update table_loader.batches
    set state = case when ${loading} then 'loading' else state end,
        -- the same attempt may be planned again
        schema_changes = case when attempt = ${plan.attempt} then schema_changes else 0 end,
        attempt = ${plan.attempt}, plan_id = ${planId}, progress_seen = 0, idle_takeovers = 0, waiting_since = null
    where batch_id = ${plan.batchId}
  `;
  await tx`
    insert into table_loader.attempts (batch_id, fence, epoch, attempt, owner, source, plan_id)
    values (${plan.batchId}, ${plan.fence}, ${plan.epoch}, ${plan.attempt}, ${plan.runId}, ${plan.source}, ${planId})
    on conflict (batch_id, fence) do update set attempt = excluded.attempt, plan_id = excluded.plan_id
  `;
  if (!loading) return;
  await setTableStates(tx, plan, tables, "loading");
  await setTableStates(tx, plan, plan.body.held, "held");
  await tx`
    update public.validation_queue
    set validation_status = 'loading', error_summary = null, updated_at = now()
    where batch_id = ${plan.batchId} and table_name = any(${tables}::text[])
  `;
}

async function setTableStates(tx: Tx, plan: NewPlan, tables: readonly string[], state: TableState): Promise<void> {
  await tx`
    insert into table_loader.batch_tables (batch_id, table_name, epoch, state, attempt)
    select ${plan.batchId}, t.table_name, ${plan.epoch}, ${state}, ${plan.attempt}
    from unnest(${[...tables]}::text[]) as t(table_name)
    on conflict (batch_id, table_name, epoch)
    do update set state = excluded.state, attempt = excluded.attempt, updated_at = now()
  `;
}

async function readPlan(sql: postgres.Sql, planId: number): Promise<Plan | null> {
  return inTransaction(sql, {}, async (tx) => {
    const [row] = await tx<{ kind: Plan["kind"]; run_id: string; attempt: number; body: string }[]>`
      select kind, run_id, attempt, body::text as body from table_loader.plans where plan_id = ${planId}
    `;
    if (!row) return null;
    const body = JSON.parse(row.body) as PlanBody;
    return { planId, kind: row.kind, runId: row.run_id, attempt: row.attempt, body };
  });
}

/** Drops the plan with its items, staging and rejects; those of an attempt stay. */
export async function discardPlan(tx: Tx, staging: StagingTables, planId: number): Promise<void> {
  await staging.drop(planId, shareTransaction(tx));
  await tx`delete from table_loader.rejects where plan_id = ${planId}`;
  await tx`delete from table_loader.plans where plan_id = ${planId}`;
}
