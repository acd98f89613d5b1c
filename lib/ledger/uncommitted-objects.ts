import type postgres from "postgres";
import { type ArchivedKey, parseFragmentKey } from "../core/keys.ts";
import type { UncommittedObjects, UncommittedOfBatch } from "../core/sweep-ports.ts";
import { toVersionRow } from "./batches.ts";
import { inTransaction, type Tx } from "./transaction.ts";

/** Archived objects of which the ledger knows no commit, as after it was restored to an earlier point in time. */
export function openUncommittedObjects(sql: postgres.Sql): UncommittedObjects {
  return {
    uncommitted: (keys) => inTransaction(sql, {}, (tx) => readUncommitted(tx, keys)),
    record: (found) =>
      inTransaction(sql, {}, async (tx) => {
        await registerBatch(tx, found);
        await recordUncommitted(tx, found);
      }),
    batches: (after, limit) =>
      inTransaction(sql, {}, async (tx) => {
        const rows = await tx<{ batch_id: string }[]>`
          select distinct v.batch_id
          from table_loader.object_versions v join table_loader.batches b using (batch_id, epoch)
          where v.state = 'stray' and v.batch_id > ${after}
          order by v.batch_id
          limit ${limit}
        `;
        return rows.map(({ batch_id: batchId }) => batchId);
      }),
  };
}

/**
 * Nothing leaves staging before its table is committed, and rows of commits are never deleted: what lies in the archive
 * without one was loaded in another life of the database. One question for a whole page of keys.
 */
async function readUncommitted(tx: Tx, keys: readonly ArchivedKey[]): Promise<ArchivedKey[]> {
  const rows = await tx<ArchivedKey[]>`
    select k.key, k."stagedKey", k."batchId", k.epoch, k."table"
    from jsonb_to_recordset(${JSON.stringify(keys)}::text::jsonb)
      as k(key text, "stagedKey" text, "batchId" text, epoch integer, "table" text)
    where not exists (
        select from table_loader.commits c
        where c.batch_id = k."batchId" and c.epoch = k.epoch and c.table_name = k."table")
      and not exists (select from table_loader.object_versions v where v.archived_key = k.key)
  `;
  return [...rows];
}

/**
 * A batch that the ledger does not know gets its row, so that it is seen to wait. It was loaded in the latest epoch
 * that is found; what an earlier one loaded had been rolled back by then.
 */
async function registerBatch(tx: Tx, { batchId, epoch }: UncommittedOfBatch): Promise<void> {
  await tx`
    insert into table_loader.batches as b (batch_id, epoch) values (${batchId}, ${epoch})
    on conflict (batch_id) do update set epoch = excluded.epoch
    where b.epoch < excluded.epoch and b.state = 'waiting' and b.owner is null
      and not exists (select from table_loader.commits c where c.batch_id = b.batch_id)
  `;
}

async function recordUncommitted(tx: Tx, { batchId, epoch, objects }: UncommittedOfBatch): Promise<void> {
  const rows = objects.map((seen) => ({
    ...toVersionRow(seen),
    archived_key: seen.object.key,
    // a marker is never loaded itself
    state: parseFragmentKey(seen.stagedKey)?.kind === "fragment" ? "stray" : "seen",
  }));
  await tx`
    delete from table_loader.object_versions
    where batch_id = ${batchId} and epoch = ${epoch} and state = 'stray'
  `;
  await tx`
    insert into table_loader.object_versions as o
      (key, version, epoch, batch_id, table_name, etag, size, last_modified, state, archived_key)
    select v.key, v.version, ${epoch}, ${batchId}, v.table_name, v.etag, v.size, v.last_modified, v.state, v.archived_key
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as v(
      key text, version text, table_name text, etag text, size bigint, last_modified timestamptz, state text,
      archived_key text)
    on conflict (key, version, epoch)
    do update set state = excluded.state, archived_key = excluded.archived_key, updated_at = now()
    where o.state not in ('loaded', 'rolled_back')
  `;
}
