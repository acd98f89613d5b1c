import type postgres from "postgres";
import type {
  Approval,
  AttemptSummary,
  BatchStatus,
  BatchSummary,
  Operations,
  TableStatus,
} from "../core/operations.ts";
import { inTransaction, type Tx } from "../postgres/transaction.ts";

export function openOperations(sql: postgres.Sql): Operations {
  return {
    epochOf: (batchId) =>
      inTransaction(sql, {}, async (tx) => {
        const [row] = await tx<{ epoch: number }[]>`select epoch from table_loader.batches where batch_id = ${batchId}`;
        return row?.epoch ?? 1;
      }),
    approve: (batchId, tables, by) => inTransaction(sql, {}, (tx) => approve(tx, batchId, tables, by)),
    status: (batchId) => inTransaction(sql, {}, (tx) => readStatus(tx, batchId)),
    summaries: () => inTransaction(sql, {}, readSummaries),
  };
}

/** Approves the tables. One that is not in the queue yet gets a row there, as a validator would write it. */
async function approve(tx: Tx, batchId: string, tables: readonly string[], approvedBy: string): Promise<Approval> {
  const approved = await tx<{ table_name: string }[]>`
    update public.validation_queue
    set approved_for_load = true, approved_by = ${approvedBy}, approved_at = clock_timestamp(), updated_at = now()
    where batch_id = ${batchId} and table_name = any(${[...tables]}::text[])
    returning table_name
  `;
  const known = new Set(approved.map(({ table_name: table }) => table));
  const created = tables.filter((table) => !known.has(table));
  await tx`
    insert into public.validation_queue
      (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
    select ${batchId}, t.table_name, 'validated', true, ${approvedBy}, clock_timestamp()
    from unnest(${created}::text[]) as t(table_name)
  `;
  return { batch_id: batchId, approved: [...tables].toSorted(), created: created.toSorted() };
}

async function readStatus(tx: Tx, batchId: string): Promise<BatchStatus | null> {
  const [head] = await tx<Pick<BatchStatus, "state" | "health" | "epoch" | "reason_code" | "reason">[]>`
    select b.state, s.health_status as health, b.epoch, b.reason_code, b.reason
    from table_loader.batches b join public.loader_status s on s.source = b.batch_id
    where b.batch_id = ${batchId}
  `;
  const tables = await readTables(tx, batchId);
  if (!head && tables.length === 0) return null;
  const outcomes = await tx<BatchStatus["outcomes"][number][]>`
    select code, source, times, message, to_json(last_at)#>>'{}' as last_at
    from table_loader.outcomes where batch_id = ${batchId} order by last_at desc limit 20
  `;
  const healings = await tx<BatchStatus["healings"][number][]>`
    select kind, detail, to_json(healed_at)#>>'{}' as healed_at
    from table_loader.healings where batch_id = ${batchId} order by healed_at desc limit 10
  `;
  const [report] = await tx<{ key: string | null }[]>`
    select result->>'report_key' as key from table_loader.attempts
    where batch_id = ${batchId} and result ? 'report_key' order by fence desc limit 1
  `;
  const unknown = { state: "queued", health: "WAITING", epoch: 1, reason_code: null, reason: null };
  return {
    batch_id: batchId,
    ...(head ?? unknown),
    tables,
    attempts: await readAttempts(tx, batchId),
    outcomes: [...outcomes],
    healings: [...healings],
    report_key: report?.key ?? null,
  };
}

async function readTables(tx: Tx, batchId: string): Promise<TableStatus[]> {
  const rows = await tx<TableStatus[]>`
    select coalesce(q.table_name, t.table_name) as "table", t.state, q.validation_status,
           q.approved_for_load as approved, q.approved_by, to_json(q.approved_at)#>>'{}' as approved_at,
           to_json(q.loaded_at)#>>'{}' as loaded_at, q.error_summary,
           (select sum(i.records)::bigint from table_loader.work_items i
            join table_loader.batches b on b.plan_id = i.plan_id
            where b.batch_id = ${batchId} and i.table_name = t.table_name) as staged_records
    from (select * from public.validation_queue where batch_id = ${batchId}) q
    full join (select bt.* from table_loader.batch_tables bt join table_loader.batches b using (batch_id, epoch)
               where bt.batch_id = ${batchId}) t on t.table_name = q.table_name
    order by 1
  `;
  return [...rows];
}

async function readAttempts(tx: Tx, batchId: string): Promise<AttemptSummary[]> {
  const rows = await tx<AttemptSummary[]>`
    select attempt, epoch, state, source, code, message, to_json(started_at)#>>'{}' as started_at,
           to_json(ended_at)#>>'{}' as ended_at
    from table_loader.attempts where batch_id = ${batchId} order by fence desc limit 20
  `;
  return [...rows];
}

async function readSummaries(tx: Tx): Promise<Omit<BatchSummary, "in_staging">[]> {
  const rows = await tx<Omit<BatchSummary, "in_staging">[]>`
    select coalesce(b.batch_id, q.batch_id) as batch_id, coalesce(b.state, 'queued') as state, b.reason_code, b.reason,
           coalesce(q.tables, 0) as tables, coalesce(q.approved_tables, 0) as approved_tables,
           to_json(b.updated_at)#>>'{}' as updated_at
    from table_loader.batches b
    full join (
      select batch_id, count(*) as tables, count(*) filter (where approved_for_load) as approved_tables
      from public.validation_queue group by batch_id
    ) q on q.batch_id = b.batch_id
    order by 1 desc
    limit 500
  `;
  return [...rows];
}
