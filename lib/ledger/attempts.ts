import type postgres from "postgres";
import type { BatchState } from "../core/batch.ts";
import { type Fault, StaleFence } from "../core/errors.ts";
import { kinds } from "../core/kinds.ts";
import type { Attempts, Closing, Judgement } from "../core/ports.ts";
import { maxStoredRejects } from "../core/rejects.ts";
import type { Run } from "../core/run.ts";
import type { StagingTables } from "../core/target.ts";
import { inTransaction, type Tx, wholeBatch } from "../postgres/transaction.ts";
import { failedTable, readAttemptStatus } from "./attempt-status.ts";
import { lockFence, renewLease, requireJudged, wakeMoved } from "./claims.ts";
import { discardPlan } from "./plans.ts";
import { insertRejects, rejectsOfAttempt } from "./stored-rejects.ts";
import { listItems } from "./work-items.ts";

type AttemptPorts = { readonly sql: postgres.Sql; readonly staging: StagingTables; readonly leaseSeconds: number };

export function openAttempts({ sql, staging, leaseSeconds }: AttemptPorts): Attempts {
  return {
    fail: (run, fault) =>
      inTransaction(sql, {}, async (tx) => {
        const ended = await fail(tx, run, fault);
        await renewLease(tx, run, leaseSeconds);
        return ended;
      }),
    keepRejects: (run, judgement) =>
      inTransaction(sql, {}, async (tx) => {
        await keepRejects(tx, run, judgement);
        await renewLease(tx, run, leaseSeconds);
      }),
    rejects: (run) => inTransaction(sql, {}, (tx) => rejectsOfAttempt(tx, run, maxStoredRejects)),
    attemptStatus: (run) => inTransaction(sql, {}, (tx) => readAttemptStatus(tx, run)),
    archived: (run) =>
      inTransaction(sql, wholeBatch, async (tx) => {
        const ended = await markArchived(tx, run);
        await renewLease(tx, run, leaseSeconds);
        return ended;
      }),
    close: (run, closing) => inTransaction(sql, wholeBatch, (tx) => close(staging, tx, run, closing)),
  };
}

/** A committed batch never fails: locking its row waits for a commit in progress to end, and shows the state after. */
async function fail(tx: Tx, run: Run, fault: Fault): Promise<"failing" | "committed" | "compared"> {
  const state = await lockFence(tx, run);
  if (!kinds[run.kind].commits) {
    await noteFault(tx, run, fault);
    await markJudged(tx, run);
    return "compared";
  }
  if (state === "failing") return "failing";
  if (state !== "loading") return "committed";
  await noteFault(tx, run, fault);
  await tx`
    update table_loader.batches set state = 'failing', reason_code = null, reason = null where batch_id = ${run.batchId}
  `;
  const failed = await tx<{ table_name: string }[]>`
    update table_loader.batch_tables set state = 'failed', updated_at = now()
    where batch_id = ${run.batchId} and epoch = ${run.epoch} and state = 'loading'
    returning table_name
  `;
  await tx`
    update public.validation_queue
    set validation_status = 'load_failed', updated_at = now(),
        -- the table may have existed before the loader, with a shorter column
        error_summary = left(${`${fault.code}: ${fault.message}`}, (
          select coalesce(c.character_maximum_length, 1000000) from information_schema.columns c
          where c.table_schema = 'public' and c.table_name = 'validation_queue' and c.column_name = 'error_summary'))
    where batch_id = ${run.batchId} and table_name = any(${failed.map((row) => row.table_name)}::text[])
  `;
  await recordFailure(tx, run, fault);
  return "failing";
}

/** Marks a redelivery that could not be compared as compared, so that the sweep does not start it again each time. */
async function markJudged(tx: Tx, run: Run): Promise<void> {
  await tx`
    update table_loader.object_versions o
    set state = case o.state when 'seen' then 'changed' else o.state end,
        redelivered = i.last_modified, updated_at = now()
    from table_loader.work_items i
    where i.plan_id = ${run.planId} and i.kind = 'fragment' and o.key = i.home_key and o.etag = i.etag
      and o.size = i.size and o.epoch = ${run.epoch} and o.state in ('seen', 'loaded', 'duplicate')
  `;
}

async function noteFault(tx: Tx, run: Run, { code, message }: Fault): Promise<void> {
  await tx`
    update table_loader.attempts set code = ${code}, message = ${message}
    where batch_id = ${run.batchId} and fence = ${run.fence}
  `;
}

/**
 * Hands the rejects of the plan over to the attempt, unless the attempt has those of a judgement already, and writes
 * one row per table into load_audit_log.
 */
async function recordFailure(tx: Tx, run: Run, fault: Fault): Promise<void> {
  const items = await listItems(tx, run.planId);
  const tables = [...new Set(items.map(({ table }) => table))];
  await tx`
    update table_loader.rejects r set attempt = ${run.attempt}, plan_id = null
    where not exists (
        select from table_loader.rejects a
        where a.batch_id = ${run.batchId} and a.epoch = ${run.epoch} and a.attempt = ${run.attempt})
      and r.plan_id = ${run.planId} and r.reject_id in (
      select k.reject_id from table_loader.rejects k where k.plan_id = ${run.planId}
      order by k.table_name, k.key, k.record, k.reject_id limit ${maxStoredRejects})
  `;
  await tx`
    insert into public.load_audit_log
      (batch_id, operation, table_name, records_failed, load_time_seconds, status, error_message)
    select ${run.batchId}, 'load', t.table_name,
           (select count(distinct (r.key, r.record)) from table_loader.rejects r
            where r.batch_id = ${run.batchId} and r.epoch = ${run.epoch} and r.attempt = ${run.attempt}
              and r.table_name = t.table_name),
           0, 'failed', ${`${fault.code}: ${fault.message}`}
    from unnest(${tables}::text[]) as t(table_name)
  `;
}

/** Stores a judgement under its attempt: the rollback of the commit took its rejects and counts back. */
async function keepRejects(tx: Tx, run: Run, judgement: Judgement): Promise<void> {
  await lockFence(tx, run);
  await tx`
    delete from table_loader.rejects
    where batch_id = ${run.batchId} and epoch = ${run.epoch} and attempt = ${run.attempt}
  `;
  await insertRejects(tx, run, { rejects: judgement.rejects, itemId: null });
  const tables = judgement.tables.map(({ table, counts, seconds }) => [
    table,
    failedTable(counts.records_read, counts.records_failed, Number(seconds.toFixed(3))),
  ]);
  await tx`
    update table_loader.attempts set result = ${JSON.stringify({ tables: Object.fromEntries(tables) })}::text::jsonb
    where batch_id = ${run.batchId} and fence = ${run.fence}
  `;
}

/** Once all objects are at their last keys, records those keys and marks a committed batch as archived. */
async function markArchived(tx: Tx, run: Run): Promise<"done" | "more"> {
  const state = await lockFence(tx, run);
  requireJudged(run, state);
  const open = await tx`
    select from table_loader.work_items where plan_id = ${run.planId} and archived_key is null limit 1
  `;
  if (open.count > 0) return "more";
  await tx`
    update table_loader.object_versions o
    set archived_key = i.archived_key,
        state = case when ${state} = 'failing' then 'failed' else o.state end,
        updated_at = now()
    from table_loader.work_items i
    where i.plan_id = ${run.planId} and i.kind <> 'superseded' and o.key = i.home_key and o.epoch = ${run.epoch}
      -- a redelivery moves no loaded object, even if both have the same label in a bucket without versioning
      and (o.state <> 'loaded' or (${kinds[run.kind].commits} and ${state} = 'committed'))
      and o.version in (coalesce(i.version_id, ''), regexp_replace(coalesce(i.version_id, i.etag || '-' || i.size), '[^A-Za-z0-9._-]', '', 'g'))
  `;
  if (state === "committed" && kinds[run.kind].commits) {
    await tx`update table_loader.batches set state = 'archived' where batch_id = ${run.batchId}`;
  }
  return "done";
}

async function close(staging: StagingTables, tx: Tx, run: Run, closing: Closing): Promise<"closed" | "again"> {
  const moved = await wakeMoved(tx, run.batchId);
  requireJudged(run, await lockFence(tx, run));
  await tx`
    update table_loader.attempts
    set state = ${closing.state === "failed" ? "failed" : kinds[run.kind].attempt},
        result = ${JSON.stringify(closing.result)}::text::jsonb, ended_at = clock_timestamp(), plan_id = ${run.planId}
    where batch_id = ${run.batchId} and fence = ${run.fence}
  `;
  await discardPlan(tx, staging, run.planId);
  await freeBatch(tx, run, closing.state);
  return moved ? "again" : "closed";
}

/** Ends the claim. Tables that were left out by hand (`held`) keep the batch waiting. */
async function freeBatch(tx: Tx, run: Run, state: BatchState): Promise<void> {
  const freed = await tx`
    update table_loader.batches b
    set state = case
          when ${state} = 'failed' then 'failed'
          when exists (select from table_loader.batch_tables t where t.batch_id = b.batch_id and t.epoch = b.epoch
                       and t.state = 'failed') then 'failed'
          when exists (select from table_loader.batch_tables t where t.batch_id = b.batch_id and t.epoch = b.epoch
                       and t.state = 'held') then 'waiting'
          else 'loaded' end,
        owner = null, lease_until = null, aborted_fence = null, plan_id = null, reason_code = null, reason = null,
        updated_at = now()
    where b.batch_id = ${run.batchId} and b.fence = ${run.fence}
  `;
  if (freed.count !== 1) throw new StaleFence(run.batchId, run.fence);
}
