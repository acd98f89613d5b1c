import type postgres from "postgres";
import type { BatchState } from "../core/batch.ts";
import type { Fault } from "../core/errors.ts";
import type { BatchInLedger, HeldBatch, HeldBatches } from "../core/sweep-ports.ts";
import { inTransaction, type Tx } from "./transaction.ts";

/** Batches as the sweep sees them. */
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

type HeldRow = Omit<HeldBatch, "batchId"> & { readonly batch_id: string };

const heldColumns = (tx: Tx) => tx`
  b.batch_id, b.state, b.owner, b.fence, ${visits(tx)} as visits, b.aborted_fence is not null as marked
`;

const toHeld = ({ batch_id: batchId, ...held }: HeldRow): HeldBatch => ({ batchId, ...held });

const mostEnded = 200;
/** Each costs a question to Step Functions. What lives moves, and so makes room for what does not. */
const mostRunning = 100;

/** Loads whose lease has ended: whoever held it is gone. A locked row is at work. */
async function readEnded(tx: Tx): Promise<HeldBatch[]> {
  const rows = await tx<HeldRow[]>`
    select ${heldColumns(tx)}
    from table_loader.batches b
    where coalesce(b.lease_until < clock_timestamp(), true)
      and (b.state in ('loading', 'committed', 'archived', 'failing') or b.owner is not null)
    order by b.updated_at
    limit ${mostEnded}
    for update skip locked
  `;
  return rows.map(toHeld);
}

async function readRunning(tx: Tx): Promise<HeldBatch[]> {
  const rows = await tx<HeldRow[]>`
    select ${heldColumns(tx)}
    from table_loader.batches b
    where b.owner is not null and b.lease_until > clock_timestamp()
    order by b.updated_at
    limit ${mostRunning}
    for update skip locked
  `;
  return rows.map(toHeld);
}

/** The owner stays: the one who takes over is told from it. */
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

/** An attempt that was failing already keeps its own fault; one that was not planned yet gets its row here. */
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
  const [row] = await tx<
    { state: BatchState; epoch: number; visits: number; leased: boolean; waiting_hours: number | null }[]
  >`
    select b.state, b.epoch, ${visits(tx)} as visits,
           coalesce(b.lease_until > clock_timestamp(), false) or exists (
             select from table_loader.line l where l.batch_id = b.batch_id and l.expires_at > clock_timestamp()
           ) as leased,
           extract(epoch from now() - b.waiting_since)::float8 / 3600 as waiting_hours
    from table_loader.batches b where b.batch_id = ${batchId}
  `;
  if (!row) return null;
  const { waiting_hours: waitingHours, ...batch } = row;
  return { ...batch, waitingHours };
}
