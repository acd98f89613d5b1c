import type { BatchState } from "../core/batch.ts";
import { StaleFence } from "../core/errors.ts";
import { addFingerprints, fingerprintVersion } from "../core/fingerprint.ts";
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
 * How an attempt stands, as far as the ledger knows.
 *
 * @throws StaleFence where another execution took over
 */
export async function readAttemptStatus(tx: Tx, run: Run): Promise<AttemptStatus> {
  const [row] = await tx<AttemptRow[]>`
    select b.state, b.fence, a.started_at, clock_timestamp() as now, a.code, a.message,
           a.result::text as result,
           -- one that was abandoned may have a result, too: what its tables came to when it was judged
           a.state in ('loaded', 'compared', 'failed') as is_closed
    from table_loader.batches b
    join table_loader.attempts a on a.batch_id = b.batch_id and a.fence = ${run.fence}
    where b.batch_id = ${run.batchId}
  `;
  if (row?.is_closed) return closedStanding(row);
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

function closedStanding(row: AttemptRow): AttemptStatus {
  const closed = JSON.parse(row.result ?? "{}") as LoadResult;
  const { state, started_at: startedAt, now } = row;
  return { state, startedAt, now, fault: null, tables: closed.tables, duplicateOf: closed.duplicate_of, closed };
}

function failedTables(row: AttemptRow, items: readonly WorkItem[]): Record<string, TableResult> {
  const judged = row.result === null ? {} : (JSON.parse(row.result) as { tables: Record<string, TableResult> }).tables;
  return Object.fromEntries(
    [...Map.groupBy(fragments(items), ({ table }) => table)].map(([table, ofTable]): [string, TableResult] => [
      table,
      { ...unjudged(ofTable), ...judged[table], s3_key: firstKey(ofTable), values_nulled: sumNulled(ofTable) },
    ]),
  );
}

/** A table that was staged, but not judged: its records were read, and nothing came of them. */
function unjudged(items: readonly WorkItem[]): TableResult {
  const read = items.reduce((sum, { records }) => sum + records, 0);
  const rejected = items.reduce((sum, item) => sum + item.rejected, 0);
  return {
    ...noCounts,
    records_read: read,
    records_failed: rejected,
    // good as far as they were looked at, and left out with the batch
    records_skipped: read - rejected,
    status: "failed",
    load_time_seconds: 0,
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
  return Object.fromEntries(
    rows.map(({ table_name: table, counts }) => {
      const ofTable = fragments(items).filter((item) => item.table === table);
      return [table, { ...(JSON.parse(counts) as TableResult), s3_key: firstKey(ofTable) }];
    }),
  );
}

/**
 * A redelivery has no effect: records of the same content are counted as unchanged, those of changed fragments, which
 * stay where they are, as skipped.
 */
function comparedTables(items: readonly WorkItem[]): Record<string, TableResult> {
  return Object.fromEntries(
    [...Map.groupBy(fragments(items), ({ table }) => table)].map(([table, ofTable]) => {
      const { records_read: read, ...rest } = unjudged(ofTable);
      const changed = ofTable.filter(({ archivedKey, object }) => archivedKey === object.key);
      const skipped = changed.reduce((sum, { records }) => sum + records, 0);
      const counts = { ...rest, records_read: read, records_failed: 0, records_skipped: skipped };
      const status = changed.length > 0 ? "failed" : "already_processed";
      const result = { ...counts, records_unchanged: read - skipped, status, s3_key: firstKey(ofTable) } as const;
      return [table, result satisfies TableResult];
    }),
  );
}

const fragments = (items: readonly WorkItem[]): WorkItem[] => items.filter(({ kind }) => kind === "fragment");
const firstKey = (items: readonly WorkItem[]): string | null => items[0]?.archivedKey ?? items[0]?.object.key ?? null;
const sumNulled = (items: readonly WorkItem[]): number => items.reduce((sum, { nulled }) => sum + nulled, 0);

/** Other batches that loaded the same content of a table: reported, never a reason to skip. */
async function duplicatesOf(tx: Tx, run: Run, items: readonly WorkItem[]): Promise<string[]> {
  const sums = [...Map.groupBy(fragments(items), ({ table }) => table)].map(([table, ofTable]) => ({
    table_name: table,
    fingerprint: ofTable.reduce((sum, item) => addFingerprints(sum, item.fingerprint), 0n).toString(),
    records: ofTable.reduce((sum, { records }) => sum + records, 0),
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
