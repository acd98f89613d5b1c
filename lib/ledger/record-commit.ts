import { fingerprintVersion, sumFingerprints } from "../core/fingerprint.ts";
import type { Plan } from "../core/plan.ts";
import type { Judgement } from "../core/ports.ts";
import type { TableResult } from "../core/report.ts";
import type { Run } from "../core/run.ts";
import type { TableOutcome } from "../core/target.ts";
import type { WorkItem } from "../core/work-item.ts";
import type { Tx } from "../postgres/transaction.ts";
import { toVersionRow } from "./batches.ts";

type Committed = { readonly plan: Plan; readonly items: readonly WorkItem[]; readonly judgement: Judgement };

/** Records a load in the ledger and the queue, in the transaction in which it takes effect. */
export async function recordCommit(tx: Tx, run: Run, { plan, items, judgement }: Committed): Promise<void> {
  const fragments = items.filter(({ kind }) => kind === "fragment");
  const rows = judgement.tables.map((outcome) => {
    const ofTable = fragments.filter(({ table }) => table === outcome.table);
    return {
      table_name: outcome.table,
      counts: toTableResult(plan, outcome, ofTable),
      records: outcome.counts.records_read,
      fingerprint: sumFingerprints(ofTable).toString(),
    };
  });
  await recordCounts(tx, run, rows);
  await markVersions(tx, run, fragments);
  await markLoaded(tx, run, plan);
}

async function recordCounts(tx: Tx, run: Run, rows: readonly object[]): Promise<void> {
  await tx`
    with done as (
      select * from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb)
        as d(table_name text, counts jsonb, records bigint, fingerprint numeric)
    ), counted as (
      update table_loader.commits c set counts = d.counts
      from done d
      where c.batch_id = ${run.batchId} and c.epoch = ${run.epoch} and c.table_name = d.table_name
    ), audited as (
      insert into public.load_audit_log
        (batch_id, operation, table_name, records_loaded, records_updated, records_skipped, records_failed,
         load_time_seconds, status)
      select ${run.batchId}, 'load', d.table_name, (d.counts->>'records_loaded')::bigint,
             (d.counts->>'records_updated')::bigint, (d.counts->>'records_skipped')::bigint, 0,
             (d.counts->>'load_time_seconds')::numeric, 'success'
      from done d
    )
    update table_loader.batch_tables b
    set state = 'loaded', records = d.records, fingerprint = d.fingerprint,
        fingerprint_version = ${fingerprintVersion}, updated_at = now()
    from done d
    where b.batch_id = ${run.batchId} and b.epoch = ${run.epoch} and b.table_name = d.table_name
  `;
}

function toTableResult(plan: Plan, outcome: TableOutcome, fragments: readonly WorkItem[]): TableResult {
  const planned = plan.body.tables.find(({ table }) => table === outcome.table);
  const ofRecords = recordWarnings(outcome, planned?.contract.update_strategy);
  return {
    ...outcome.counts,
    status: "success",
    load_time_seconds: Number(outcome.seconds.toFixed(3)),
    s3_key: null,
    values_nulled: fragments.reduce((sum, item) => sum + item.nulled, 0),
    immutable_attempts: outcome.immutableAttempts,
    warnings: [...ofRecords, ...fragmentWarnings(fragments), ...shapeWarnings(planned?.shape.notEnforced ?? [])],
  };
}

function recordWarnings(outcome: TableOutcome, strategy: string | undefined): string[] {
  const { records_skipped: skipped } = outcome.counts;
  const warnings: string[] = [];
  if (skipped > 0 && strategy === "insert_only") {
    warnings.push(`DUPLICATE_KEYS: ${skipped} records have keys that are stored already; insert_only skips them`);
  }
  if (skipped > 0 && strategy === "update_only") {
    warnings.push(`UNKNOWN_KEYS: ${skipped} records have keys that are not stored; update_only skips them`);
  }
  for (const [field, count] of Object.entries(outcome.immutableAttempts)) {
    warnings.push(`IMMUTABLE_FIELD: ${count} records would change ${field}, which stays as it is`);
  }
  return warnings;
}

function fragmentWarnings(fragments: readonly WorkItem[]): string[] {
  const [first, ...others] = fragments.filter(({ records }) => records === 0);
  return first ? [`NO_RECORDS: ${others.length + 1} fragments hold no records, the first is ${first.stagedKey}`] : [];
}

function shapeWarnings(notEnforced: readonly string[]): string[] {
  return notEnforced.map((name) => `NOT_ENFORCED: constraint ${name} is not enforced by the server`);
}

async function markVersions(tx: Tx, run: Run, fragments: readonly WorkItem[]): Promise<void> {
  const rows = fragments.map((item) => ({
    ...toVersionRow(item),
    records: item.records,
    fingerprint: item.fingerprint.toString(),
  }));
  await tx`
    insert into table_loader.object_versions
      (key, version, epoch, batch_id, table_name, etag, size, last_modified, state, records, fingerprint,
       fingerprint_version, source_label)
    select v.key, v.version, ${run.epoch}, ${run.batchId}, v.table_name, v.etag, v.size, v.last_modified, 'loaded',
           v.records, v.fingerprint, ${fingerprintVersion}, 'content-' || left(md5(v.fingerprint::text), 12)
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as v(
      key text, version text, table_name text, etag text, size bigint, last_modified timestamptz, records bigint,
      fingerprint numeric)
    on conflict (key, version, epoch)
    do update set state = 'loaded', records = excluded.records, fingerprint = excluded.fingerprint,
                  fingerprint_version = excluded.fingerprint_version, source_label = excluded.source_label, updated_at = now()
  `;
  await tx`
    update table_loader.object_versions
    set state = 'superseded', updated_at = now()
    where batch_id = ${run.batchId} and epoch = ${run.epoch} and state = 'stray'
      and table_name = any(${[...new Set(fragments.map(({ table }) => table))]}::text[])
  `;
}

async function markLoaded(tx: Tx, run: Run, plan: Plan): Promise<void> {
  const tables = plan.body.tables.map(({ table }) => table);
  await tx`
    update public.validation_queue
    set validation_status = 'loaded', loaded_at = now(), error_summary = null, updated_at = now()
    where batch_id = ${run.batchId} and table_name = any(${tables}::text[])
  `;
  await tx`
    update table_loader.batches set state = 'committed', reason_code = null, reason = null
    where batch_id = ${run.batchId}
  `;
}
