import type postgres from "postgres";
import type { QueueRow, SeenVersion, TableState } from "../core/batch.ts";
import { versionLabel } from "../core/keys.ts";
import type { BatchRecords, SeenObject } from "../core/ports.ts";
import { inTransaction, wholeBatch } from "./transaction.ts";

export function openBatchRecords(sql: postgres.Sql): BatchRecords {
  return {
    tableStates: (batchId, epoch) => readTableStates(sql, batchId, epoch),
    queue: (batchId) => readQueue(sql, batchId),
    seenVersions: (batchId, epoch) => readSeen(sql, batchId, epoch),
    recordSeen: (batchId, epoch, versions) => {
      const rows = versions.map((seen) => ({ ...toVersionRow(seen), state: seen.isLatest ? "seen" : "superseded" }));
      return insertSeen(sql, { batchId, epoch, rows });
    },
    recordOutcome: async (batchId, { code, message, source }) => {
      await inTransaction(sql, {}, async (tx) => {
        await tx`
          insert into table_loader.outcomes as o (batch_id, code, source, message)
          values (${batchId}, ${code}, ${source}, ${message})
          on conflict (batch_id, code, source)
          do update set times = o.times + 1, message = excluded.message, last_at = now()
        `;
      });
    },
  };
}

/** The columns of `object_versions` that tell which version it is. */
export function toVersionRow({ stagedKey, table, object }: SeenObject) {
  return {
    key: stagedKey,
    version: versionLabel(object),
    table_name: table,
    etag: object.etag,
    size: object.size,
    last_modified: object.lastModified.toISOString(),
  };
}

async function readTableStates(sql: postgres.Sql, batchId: string, epoch: number): Promise<Map<string, TableState>> {
  return inTransaction(sql, {}, async (tx) => {
    const rows = await tx<{ table_name: string; state: TableState }[]>`
      select table_name, state from table_loader.batch_tables where batch_id = ${batchId} and epoch = ${epoch}
    `;
    return new Map(rows.map(({ table_name: table, state }) => [table, state]));
  });
}

async function readQueue(sql: postgres.Sql, batchId: string): Promise<QueueRow[]> {
  return inTransaction(sql, {}, async (tx) => {
    const rows = await tx<QueueRow[]>`
      select table_name as "table", validation_status as status, coalesce(approved_for_load, false) as approved,
             approved_at::timestamptz as "approvedAt", total_records::bigint as "totalRecords"
      from public.validation_queue
      where batch_id = ${batchId}
      order by id
    `;
    return [...rows];
  });
}

type SeenRow = Omit<SeenVersion, "fingerprint"> & { readonly fingerprint: string | null };

async function readSeen(sql: postgres.Sql, batchId: string, epoch: number): Promise<SeenVersion[]> {
  return inTransaction(sql, {}, async (tx) => {
    const rows = await tx<SeenRow[]>`
      select key, version, table_name as "table", state, first_seen as "firstSeen", archived_key as "archivedKey",
             redelivered, records, fingerprint::text as fingerprint
      from table_loader.object_versions
      where batch_id = ${batchId} and epoch = ${epoch}
      order by updated_at, key, version
    `;
    return rows.map((row) => ({ ...row, fingerprint: row.fingerprint === null ? null : BigInt(row.fingerprint) }));
  });
}

type SeenInsert = { readonly batchId: string; readonly epoch: number; readonly rows: readonly object[] };

/** What has become of a version stays; only one that is newly superseded changes. */
async function insertSeen(sql: postgres.Sql, { batchId, epoch, rows }: SeenInsert): Promise<void> {
  if (rows.length === 0) return;
  await inTransaction(sql, wholeBatch, async (tx) => {
    await tx`
      insert into table_loader.object_versions as o
        (key, version, epoch, batch_id, table_name, etag, size, last_modified, state)
      select v.key, v.version, ${epoch}, ${batchId}, v.table_name, v.etag, v.size, v.last_modified, v.state
      from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as v(
        key text, version text, table_name text, etag text, size bigint, last_modified timestamptz, state text)
      on conflict (key, version, epoch)
      do update set state = 'superseded', updated_at = now()
      where o.state = 'seen' and excluded.state = 'superseded'
    `;
  });
}
