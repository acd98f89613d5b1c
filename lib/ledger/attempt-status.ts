import type { BatchState } from "../core/batch.ts";
import { StaleFence } from "../core/errors.ts";
import { fingerprintVersion, sumFingerprints } from "../core/fingerprint.ts";
import { kinds } from "../core/kinds.ts";
import type { AttemptStatus } from "../core/ports.ts";
import { type LoadResult, noCounts, type TableResult } from "../core/report.ts";
import type { Run } from "../core/run.ts";
import type { WorkItem } from "../core/work-item.ts";
import type { Tx } from "../postgres/transaction.ts";
import { listItems } from "./work-items.ts";

type AttemptRow = {
  state: BatchState;
  fence: number;
  started_at: Date;
  now: Date;
  is_closed: boolean;
  code: string | null;
  message: string | null;
  result: string | null;
};

/**
 * The state and the table results of an attempt, as far as the ledger knows them.
 *
 * @throws StaleFence if another execution took over
 */
export async function readAttemptStatus(tx: Tx, run: Run): Promise<AttemptStatus> {
  const [row] = await tx<AttemptRow[]>`
    select b.state, b.fence, a.started_at, clock_timestamp() as now, a.code, a.message,
           a.result::text as result,
           -- an abandoned attempt may have a result, too: the counts of a judgement that was rolled back
           a.state in ('loaded', 'compared', 'failed') as is_closed
    from table_loader.batches b
    join table_loader.attempts a on a.batch_id = b.batch_id and a.fence = ${run.fence}
    where b.batch_id = ${run.batchId}
  `;
  if (row?.is_closed) return closedStatus(row);
  if (!row || row.fence !== run.fence) throw new StaleFence(run.batchId, run.fence);
  const items = await listItems(tx, run.planId);
  return {
    state: row.state,
    startedAt: row.started_at,
    now: row.now,
    fault: row.code === null ? null : { code: row.code, message: row.message ?? "" },
    tables: row.state === "failing" ? failedTables(row, items) : await tableResults(tx, run, items),
    duplicateOf: await duplicatesOf(tx, run, items),
    closed: null,
  };
}

function closedStatus(row: AttemptRow): AttemptStatus {
  const closed = JSON.parse(row.result ?? "{}") as LoadResult;
  const { state, started_at: startedAt, now } = row;
  return { state, startedAt, now, fault: null, tables: closed.tables, duplicateOf: closed.duplicate_of, closed };
}

function failedTables(row: AttemptRow, items: readonly WorkItem[]): Record<string, TableResult> {
  const judged = row.result === null ? {} : (JSON.parse(row.result) as { tables: Record<string, TableResult> }).tables;
  return Object.fromEntries(
    [...fragmentsByTable(items)].map(([table, ofTable]): [string, TableResult] => [
      table,
      { ...unjudged(ofTable), ...judged[table], s3_key: firstKey(ofTable), values_nulled: sumOf(ofTable, "nulled") },
    ]),
  );
}

/** A table that was staged but not judged. */
const unjudged = (items: readonly WorkItem[]): TableResult =>
  failedTable(sumOf(items, "records"), sumOf(items, "rejected"), 0);

/** The result of a table whose batch fails: no record was loaded, and those that were not rejected are skipped. */
export function failedTable(read: number, rejected: number, seconds: number): TableResult {
  return {
    ...noCounts,
    records_read: read,
    records_failed: rejected,
    records_skipped: read - rejected,
    status: "failed",
    load_time_seconds: seconds,
    s3_key: null,
    values_nulled: 0,
    immutable_attempts: {},
    warnings: [],
  };
}

async function tableResults(tx: Tx, run: Run, items: readonly WorkItem[]): Promise<Record<string, TableResult>> {
  if (!kinds[run.kind].commits) return comparedTables(items);
  const rows = await tx<{ table_name: string; counts: string }[]>`
    select table_name, counts::text as counts from table_loader.commits
    where batch_id = ${run.batchId} and epoch = ${run.epoch} and plan_id = ${run.planId}
    order by table_name
  `;
  const fragments = fragmentsByTable(items);
  return Object.fromEntries(
    rows.map(({ table_name: table, counts }) => [
      table,
      { ...(JSON.parse(counts) as TableResult), s3_key: firstKey(fragments.get(table) ?? []) },
    ]),
  );
}

/** Counts the records of a redelivery: as skipped if their fragment changed and stays in place, else as unchanged. */
function comparedTables(items: readonly WorkItem[]): Record<string, TableResult> {
  return Object.fromEntries(
    [...fragmentsByTable(items)].map(([table, ofTable]) => {
      const { records_read: read, ...rest } = unjudged(ofTable);
      const changed = ofTable.filter(({ archivedKey, object }) => archivedKey === object.key);
      const skipped = sumOf(changed, "records");
      const counts = { ...rest, records_read: read, records_failed: 0, records_skipped: skipped };
      const status = changed.length > 0 ? "failed" : "already_processed";
      const result = { ...counts, records_unchanged: read - skipped, status, s3_key: firstKey(ofTable) } as const;
      return [table, result satisfies TableResult];
    }),
  );
}

const fragmentsByTable = (items: readonly WorkItem[]): Map<string, WorkItem[]> =>
  Map.groupBy(
    items.filter(({ kind }) => kind === "fragment"),
    ({ table }) => table,
  );
const firstKey = (items: readonly WorkItem[]): string | null => items[0]?.archivedKey ?? items[0]?.object.key ?? null;
const sumOf = (items: readonly WorkItem[], count: "records" | "rejected" | "nulled"): number =>
  items.reduce((sum, item) => sum + item[count], 0);

/** Other batches that loaded the same content of a table: reported, never a reason to skip. */
async function duplicatesOf(tx: Tx, run: Run, items: readonly WorkItem[]): Promise<string[]> {
  const sums = [...fragmentsByTable(items)].map(([table, ofTable]) => ({
    table_name: table,
    fingerprint: sumFingerprints(ofTable).toString(),
    records: sumOf(ofTable, "records"),
  }));
  const rows = await tx<{ batch_id: string }[]>`
    select distinct b.batch_id
    from table_loader.batch_tables b
    join jsonb_to_recordset(${JSON.stringify(sums)}::text::jsonb)
      as s(table_name text, fingerprint numeric, records bigint) using (table_name, fingerprint, records)
    where b.batch_id <> ${run.batchId} and b.state = 'loaded' and b.records > 0
      and b.fingerprint_version = ${fingerprintVersion}
    order by b.batch_id
    limit 20
  `;
  return rows.map(({ batch_id: batchId }) => batchId);
}
