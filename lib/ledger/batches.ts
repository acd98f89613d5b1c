import type postgres from "postgres";
import type { QueueRow, SeenVersion, TableState } from "../core/batch.ts";
import type { Fault } from "../core/errors.ts";
import { versionLabel } from "../core/keys.ts";
import type { BatchRecords, SeenObject } from "../core/ports.ts";
import type { BatchInLedger, HeldBatch, HeldBatches } from "../core/sweep-ports.ts";
import { inTransaction, type Tx, wholeBatch } from "../postgres/transaction.ts";

export function openBatchRecords(sql: postgres.Sql): BatchRecords {
  return {
    tableStates: (batchId, epoch) => readTableStates(sql, batchId, epoch),
    queue: (batchId) => readQueue(sql, batchId),
    seenVersions: (batchId, epoch) => readSeen(sql, batchId, epoch),
    recordSeen: (batchId, epoch, versions) => recordSeen(sql, batchId, epoch, versions),
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

/** The columns of `object_versions` that describe the object itself. */
export function toVersionRow({ stagedKey, table, object }: Omit<SeenObject, "isLatest">) {
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

async function readSeen(sql: postgres.Sql, batchId: string, epoch: number): Promise<SeenVersion[]> {
  return inTransaction(sql, {}, async (tx) => {
    const rows = await tx<(Omit<SeenVersion, "fingerprint"> & { fingerprint: string | null })[]>`
      select key, version, table_name as "table", state, first_seen as "firstSeen", archived_key as "archivedKey",
             redelivered, records, fingerprint::text as fingerprint
      from table_loader.object_versions
      where batch_id = ${batchId} and epoch = ${epoch}
      order by updated_at, key, version
    `;
    return rows.map((row) => ({ ...row, fingerprint: row.fingerprint === null ? null : BigInt(row.fingerprint) }));
  });
}

/** Keeps the state of a version that was recorded before, unless it was only seen and is superseded by now. */
async function recordSeen(
  sql: postgres.Sql,
  batchId: string,
  epoch: number,
  versions: readonly SeenObject[],
): Promise<void> {
  if (versions.length === 0) return;
  const rows = versions.map((seen) => ({ ...toVersionRow(seen), state: seen.isLatest ? "seen" : "superseded" }));
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

export function openHeldBatches(sql: postgres.Sql): HeldBatches {
  return {
    held: (lease) => inTransaction(sql, {}, (tx) => (lease === "running" ? readRunning(tx) : readEnded(tx))),
    free: (held, fault) => inTransaction(sql, {}, (tx) => free(tx, held, fault)),
    inLedger: (batchId) => inTransaction(sql, {}, (tx) => readBatch(tx, batchId)),
    noteWaiting: async (batchId, { code, message }) => {
      await inTransaction(sql, {}, async (tx) => {
        await tx`
          with free as (
            select batch_id from table_loader.batches
            where batch_id = ${batchId} and state = 'waiting' and owner is null
              and reason is distinct from ${message}
            for update skip locked
          )
          update table_loader.batches b
          set reason_code = ${code}, reason = ${message}, waiting_since = coalesce(b.waiting_since, now())
          from free where b.batch_id = free.batch_id
        `;
      });
    },
  };
}

const visits = (tx: Tx) => tx`
  b.fence + coalesce((select w.wake from table_loader.batch_wakes w where w.batch_id = b.batch_id), 0)
`;

const heldColumns = (tx: Tx) => tx`
  b.batch_id as "batchId", b.state, b.owner, b.fence, ${visits(tx)} as visits, b.aborted_fence is not null as marked
`;

const mostEnded = 200;
/** Each costs a call of Step Functions. Progress moves a batch to the end of the order, so that the others come up. */
const mostRunning = 100;

/** Batches whose lease has ended, but not their load: the execution is gone. Skips a locked row, as one at work. */
async function readEnded(tx: Tx): Promise<HeldBatch[]> {
  const rows = await tx<HeldBatch[]>`
    select ${heldColumns(tx)}
    from table_loader.batches b
    where coalesce(b.lease_until < clock_timestamp(), true)
      and (b.state in ('loading', 'committed', 'archived', 'failing') or b.owner is not null)
    order by b.updated_at
    limit ${mostEnded}
    for update skip locked
  `;
  return [...rows];
}

async function readRunning(tx: Tx): Promise<HeldBatch[]> {
  const rows = await tx<HeldBatch[]>`
    select ${heldColumns(tx)}
    from table_loader.batches b
    where b.owner is not null and b.lease_until > clock_timestamp()
    order by b.updated_at
    limit ${mostRunning}
    for update skip locked
  `;
  return [...rows];
}

/** Keeps the owner, by which the next claim tells a takeover from its own repetition. */
async function free(tx: Tx, { batchId, owner, fence }: HeldBatch, fault: Fault | null): Promise<boolean> {
  const locked = await tx`
    select from table_loader.batches
    where batch_id = ${batchId} and fence = ${fence} and owner is not distinct from ${owner}
    for update skip locked
  `;
  if (locked.length === 0) return false;
  await tx`
    update table_loader.batches
    set lease_until = clock_timestamp(),
        aborted_fence = case when ${fault !== null} then fence else aborted_fence end
    where batch_id = ${batchId}
  `;
  if (fault) await markAborted(tx, batchId, fault);
  return true;
}

/** Keeps the fault of an attempt that was failing already, and adds the row of one that was not planned yet. */
async function markAborted(tx: Tx, batchId: string, { code, message }: Fault): Promise<void> {
  await tx`
    insert into table_loader.attempts as a
      (batch_id, fence, epoch, attempt, owner, source, state, code, message, ended_at)
    select batch_id, fence, epoch, attempt, owner, 'sweep', 'aborted', ${code}, ${message}, clock_timestamp()
    from table_loader.batches where batch_id = ${batchId}
    on conflict (batch_id, fence) do update
    set state = 'aborted', code = coalesce(a.code, excluded.code), message = coalesce(a.message, excluded.message),
        ended_at = excluded.ended_at
    where a.state = 'running'
  `;
}

async function readBatch(tx: Tx, batchId: string): Promise<BatchInLedger | null> {
  const [batch] = await tx<BatchInLedger[]>`
    select b.state, b.epoch, ${visits(tx)} as visits,
           coalesce(b.lease_until > clock_timestamp(), false) or exists (
             select from table_loader.line l where l.batch_id = b.batch_id and l.expires_at > clock_timestamp()
           ) as leased,
           extract(epoch from now() - b.waiting_since)::float8 / 3600 as "waitingHours"
    from table_loader.batches b where b.batch_id = ${batchId}
  `;
  return batch ?? null;
}
