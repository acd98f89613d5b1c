import type postgres from "postgres";
import { TransientError } from "../core/errors.ts";
import { addFingerprints } from "../core/fingerprint.ts";
import type { Slice, Slices, WorkItems } from "../core/ports.ts";
import type { ReadPosition } from "../core/records.ts";
import type { Run } from "../core/run.ts";
import type { SliceSink, SliceWriter, StagedRows } from "../core/target.ts";
import type { SliceProgress, WorkItem } from "../core/work-item.ts";
import type { StallGuard } from "../postgres/stall-guard.ts";
import { inTransaction, shareTransaction, type TransactionOptions, type Tx } from "../postgres/transaction.ts";
import { readState, renewLease, requireJudged } from "./claims.ts";
import { insertRejects } from "./stored-rejects.ts";

type ItemPorts = { readonly sql: postgres.Sql; readonly leaseSeconds: number };

export function openWorkItems({ sql, leaseSeconds }: ItemPorts): WorkItems {
  const acting = <T>(run: Run, work: (tx: Tx) => Promise<T>, options: TransactionOptions = {}): Promise<T> =>
    inTransaction(sql, options, async (tx) => {
      const result = await work(tx);
      await renewLease(tx, run, leaseSeconds);
      return result;
    });
  // If a crash of the server takes one of these back, that is noticed and done again.
  const lightly = <T>(run: Run, work: (tx: Tx) => Promise<T>): Promise<T> => acting(run, work, { durable: false });
  return {
    take: (run, worker) => lightly(run, (tx) => takeItem(tx, run, worker, leaseSeconds)),
    anyPending: (run) =>
      lightly(run, async (tx) => {
        const [row] = await tx<{ pending: boolean }[]>`
          select exists (select from table_loader.work_items where plan_id = ${run.planId} and state = 'pending') as pending
        `;
        return row?.pending ?? false;
      }),
    fail: (run, item, fault) =>
      lightly(run, async (tx) => {
        await tx`
          update table_loader.work_items
          set state = 'failed', error_code = ${fault.code}, error_message = ${fault.message}
          where item_id = ${item.itemId} and slices = ${item.slices}
        `;
      }),
    list: (planId) => inTransaction(sql, {}, (tx) => listItems(tx, planId)),
    // Durable: the next objects are moved without noticing a crash that took this back, and it would never be repeated.
    markArchived: (run, archived) =>
      acting(run, async (tx) => {
        const rows = archived.map(({ item, archivedKey }) => ({ item_id: item.itemId, archived_key: archivedKey }));
        await tx`
          update table_loader.work_items i set archived_key = a.archived_key
          from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as a(item_id bigint, archived_key text)
          where i.item_id = a.item_id
        `;
        requireJudged(run, await readState(tx, run));
      }),
  };
}

export function openSlices({ sql, leaseSeconds, rows }: ItemPorts & { rows: StagedRows }): Slices {
  return {
    stage: async (slice, body) => {
      const { staging, item, run } = slice;
      // Read before the transaction: without a COPY the server would count the time of reading as idle.
      const read = staging === null ? await body({ write: async () => undefined }) : null;
      return inTransaction(sql, { durable: false }, async (tx, stallGuard) => {
        const place = { planId: run.planId, item, ...(staging as NonNullable<typeof staging>) };
        const open = () => rows.open(place, shareTransaction(tx));
        const progress = read ?? (await stallGuard.pause(() => stageRows(open, stallGuard, body)));
        await insertRejects(tx, run, { itemId: item.itemId, rejects: progress.rejects });
        const staged = await checkpoint(tx, slice, progress);
        await renewLease(tx, run, leaseSeconds);
        return staged;
      });
    },
  };
}

export async function listItems(tx: Tx, planId: number): Promise<WorkItem[]> {
  const rows = await tx<ItemRow[]>`
    select ${columns(tx)} from table_loader.work_items i where i.plan_id = ${planId} order by i.item_id
  `;
  return rows.map(toItem);
}

/** Zeroes checkpoints: the items are staged again from the objects. */
export async function beginAnew(tx: Tx, items: readonly number[]): Promise<void> {
  await tx`
    update table_loader.work_items
    set position = null, state = 'pending', slices = slices + 1, records = 0, rejected = 0, nulled = 0, bytes = 0,
        fingerprint = 0, owner_fence = null, owner_worker = null, owner_until = null
    where item_id = any(${[...items]}::bigint[])
  `;
  await tx`delete from table_loader.rejects where item_id = any(${[...items]}::bigint[])`;
}

/** An item is free unless a worker of this fence holds it: one of an older fence cannot write a checkpoint any more. */
async function takeItem(tx: Tx, run: Run, worker: number, leaseSeconds: number): Promise<WorkItem | null> {
  const [row] = await tx<ItemRow[]>`
    with free as (
      select f.item_id
      from table_loader.work_items f
      where f.plan_id = ${run.planId} and f.state = 'pending'
        and (f.owner_fence is distinct from ${run.fence}::bigint or f.owner_worker = ${worker}
             or f.owner_until < clock_timestamp())
      order by (f.owner_fence is not distinct from ${run.fence}::bigint and f.owner_worker = ${worker}) desc,
               f.size desc, f.item_id
      limit 1
      for update skip locked
    )
    update table_loader.work_items i
    set owner_fence = ${run.fence}, owner_worker = ${worker},
        owner_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
    from free
    where i.item_id = free.item_id
    returning ${columns(tx)}
  `;
  return row ? toItem(row) : null;
}

/** Copies the rows of a slice. Its reader may take any time, but the target has to take each write within the stall limit. */
async function stageRows(
  open: () => Promise<SliceSink>,
  { awaitProgress }: StallGuard,
  body: (writer: SliceWriter) => Promise<SliceProgress>,
): Promise<SliceProgress> {
  const sink = await awaitProgress(open);
  try {
    const progress = await body({ write: (lines) => awaitProgress(() => sink.write(lines)) });
    await awaitProgress(sink.end);
    return progress;
  } catch (error) {
    await awaitProgress(sink.abort);
    throw error;
  }
}

/**
 * Compares owner and number of slices and sets the next checkpoint, so that a slice that is delivered twice counts once.
 *
 * @throws TransientError ITEM_TAKEN if the worker's time was up, or if a crash of the server took its taking back
 */
async function checkpoint(tx: Tx, { run, worker, item }: Slice, progress: SliceProgress): Promise<WorkItem> {
  const fingerprint = addFingerprints(item.fingerprint, progress.fingerprint);
  const [row] = await tx<ItemRow[]>`
    update table_loader.work_items i
    set position = ${JSON.stringify(progress.position)}::text::jsonb,
        slices = i.slices + 1,
        records = i.records + ${progress.records},
        rejected = i.rejected + ${progress.rejected},
        nulled = i.nulled + ${progress.nulled},
        bytes = i.bytes + ${progress.bytes},
        fingerprint = ${fingerprint.toString()}::numeric,
        state = ${progress.done ? "done" : "pending"}
    where i.item_id = ${item.itemId} and i.slices = ${item.slices}
      and i.owner_fence = ${run.fence} and i.owner_worker = ${worker}
    returning ${columns(tx)}
  `;
  if (row) return toItem(row);
  await readState(tx, run);
  const text = `${item.stagedKey} is no longer this worker's; it looks again at what is left`;
  throw new TransientError("ITEM_TAKEN", text);
}

type ItemRow = {
  item_id: number;
  table_name: string;
  kind: WorkItem["kind"];
  home_key: string;
  key: string;
  version_id: string | null;
  etag: string;
  size: number;
  last_modified: Date;
  state: WorkItem["state"];
  position: string | null;
  slices: number;
  records: number;
  rejected: number;
  nulled: number;
  bytes: number;
  fingerprint: string;
  error_code: string | null;
  error_message: string | null;
  archived_key: string | null;
};

const columns = (tx: Tx) => tx`
  i.item_id, i.table_name, i.kind, i.home_key, i.key, i.version_id, i.etag, i.size, i.last_modified, i.state,
  i.position::text as position, i.slices, i.records, i.rejected, i.nulled, i.bytes, i.fingerprint::text as fingerprint,
  i.error_code, i.error_message, i.archived_key
`;

function toItem(row: ItemRow): WorkItem {
  return {
    itemId: row.item_id,
    table: row.table_name,
    kind: row.kind,
    stagedKey: row.home_key,
    object: {
      key: row.key,
      versionId: row.version_id,
      etag: row.etag,
      size: row.size,
      lastModified: row.last_modified,
    },
    state: row.state,
    position: row.position === null ? null : (JSON.parse(row.position) as ReadPosition),
    slices: row.slices,
    records: row.records,
    rejected: row.rejected,
    nulled: row.nulled,
    bytes: row.bytes,
    fingerprint: BigInt(row.fingerprint),
    fault: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? "" },
    archivedKey: row.archived_key,
  };
}
