import type postgres from "postgres";
import type { BatchState } from "../core/batch.ts";
import { type Fault, StaleFence, TransientError } from "../core/errors.ts";
import { kinds } from "../core/kinds.ts";
import type { Claim, ClaimRequest, Claims } from "../core/ports.ts";
import type { Run } from "../core/run.ts";
import { inTransaction, type Tx } from "../postgres/transaction.ts";

/** @param leaseSeconds longer than a task may take; counted by the database's clock */
export function openClaims(sql: postgres.Sql, leaseSeconds: number): Claims {
  return {
    claim: async (request) => {
      const first = await tryClaim(sql, request, leaseSeconds);
      if (first) return first;
      await countWake(sql, request.batchId);
      // The holder may have released the batch in between, and would never see the wake.
      return tryClaim(sql, request, leaseSeconds);
    },
    renew: (run) => inTransaction(sql, {}, (tx) => renewLease(tx, run, leaseSeconds)),
    release: (claimed, waiting) => inTransaction(sql, {}, (tx) => release(tx, claimed, waiting)),
    noteBlocked: (owner, fault) =>
      inTransaction(sql, {}, async (tx) => {
        await tx`
          update table_loader.batches
          set reason_code = ${fault.code}, reason = ${fault.message}
          where owner = ${owner}
        `;
      }),
    blockedBy: (owner) =>
      inTransaction(sql, {}, async (tx) => {
        const [fault] = await tx<Fault[]>`
          select reason_code as code, reason as message from table_loader.batches
          where owner = ${owner} and reason_code is not null
        `;
        return fault ?? null;
      }),
  };
}

/**
 * Renews the lease, and proves the fence by that: the last statement of every transaction that acts for a batch.
 *
 * @throws StaleFence if another execution took over
 */
export async function renewLease(tx: Tx, run: Run, leaseSeconds: number): Promise<void> {
  if (!kinds[run.kind].fenced) return renewPlan(tx, run, leaseSeconds);
  const renewed = await tx`
    update table_loader.batches
    set lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds}), updated_at = clock_timestamp()
    where batch_id = ${run.batchId} and fence = ${run.fence} and owner is not null
  `;
  if (renewed.count !== 1) throw new StaleFence(run.batchId, run.fence);
}

async function renewPlan(tx: Tx, run: Run, leaseSeconds: number): Promise<void> {
  const renewed = await tx`
    update table_loader.plans
    set lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
    where plan_id = ${run.planId} and kind = ${run.kind}
  `;
  if (renewed.count !== 1) throw new StaleFence(run.batchId, run.fence);
}

/** States of a batch whose load is judged. In any other, nothing of it is archived or reported. */
const judged: readonly BatchState[] = ["committed", "archived", "failing"];

/**
 * Checks at the end of a step after the judgement that the database has not lost the judgement meanwhile.
 *
 * @throws TransientError LEDGER_BEHIND, so that the load is looked at again
 */
export function requireJudged({ batchId, kind }: Run, state: BatchState): void {
  if (!kinds[kind].commits || judged.includes(state)) return;
  const text = `${batchId} is ${state} again, as where the database was restored to an earlier time or failed over`;
  throw new TransientError("LEDGER_BEHIND", `${text}; the load is looked at again`);
}

type Claimed = Pick<Run, "batchId" | "fence">;

/**
 * Reads the state of a batch without any lock.
 *
 * @throws StaleFence if this execution no longer holds the batch
 */
export async function readState(tx: Tx, { batchId, fence }: Claimed): Promise<BatchState> {
  const [held] = await tx<{ state: BatchState }[]>`
    select state from table_loader.batches where batch_id = ${batchId} and fence = ${fence}
  `;
  if (!held) throw new StaleFence(batchId, fence);
  return held.state;
}

/**
 * Locks the batch row and compares the fence: the first statement of every transaction that commits or fails a batch.
 *
 * @throws StaleFence if this execution no longer holds the batch
 */
export async function lockFence(tx: Tx, { batchId, fence }: Claimed): Promise<BatchState> {
  const [batch] = await tx<{ state: BatchState; fence: number }[]>`
    select state, fence from table_loader.batches where batch_id = ${batchId} for update
  `;
  if (!batch || batch.fence !== fence) throw new StaleFence(batchId, fence);
  return batch.state;
}

/**
 * True if a wake was counted since the claim. Its row stays locked until the transaction has given up the lease: an
 * arrival that counts its wake later finds the batch free, and one that counted it earlier is seen here.
 */
export async function wakeMoved(tx: Tx, batchId: string): Promise<boolean> {
  await tx`insert into table_loader.batch_wakes (batch_id) values (${batchId}) on conflict do nothing`;
  const [wake] = await tx<{ moved: boolean }[]>`
    select w.wake <> b.wake_seen as moved
    from table_loader.batch_wakes w join table_loader.batches b using (batch_id)
    where w.batch_id = ${batchId}
    for update of w
  `;
  return wake?.moved ?? false;
}

type BatchRow = {
  state: BatchState;
  epoch: number;
  attempt: number;
  fence: number;
  owner: string | null;
  leased: boolean;
  plan_id: number | null;
  idle_takeovers: number;
  progress_seen: number;
  aborted_fence: number | null;
  reason_code: string | null;
  wake: number;
  progress: number;
};

async function tryClaim(sql: postgres.Sql, request: ClaimRequest, leaseSeconds: number): Promise<Claim | null> {
  return inTransaction(sql, {}, async (tx) => {
    await tx`
      insert into table_loader.batches (batch_id) values (${request.batchId})
      on conflict do nothing
    `;
    const batch = await lockBatch(tx, request.batchId);
    if (!batch || (batch.leased && batch.owner !== request.owner)) return null;
    const idle = idleTakeovers(batch, request.owner);
    const [claimed] = await tx<{ fence: number }[]>`
      update table_loader.batches
      set fence = fence + 1,
          owner = ${request.owner},
          lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds}),
          wake_seen = ${batch.wake},
          idle_takeovers = ${idle},
          progress_seen = ${batch.progress},
          reason_code = null,
          reason = null,
          updated_at = clock_timestamp()
      where batch_id = ${request.batchId}
      returning fence
    `;
    await abandonEarlier(tx, request.batchId, batch.fence);
    const { state, epoch, attempt, plan_id: planId } = batch;
    return {
      fence: claimed?.fence ?? 0,
      state,
      epoch,
      attempt,
      planId,
      idleTakeovers: idle,
      looksAgain: await hasEndedAttempt(tx, request),
      aborted: await readAborted(tx, request.batchId, batch.aborted_fence),
    };
  });
}

/** Skips a locked row, as if its lease were held: a commit is in progress. */
async function lockBatch(tx: Tx, batchId: string): Promise<BatchRow | undefined> {
  const [batch] = await tx<BatchRow[]>`
    select b.state, b.epoch, b.attempt, b.fence, b.owner, b.plan_id, b.idle_takeovers, b.progress_seen,
           b.aborted_fence, b.reason_code,
           coalesce(b.lease_until > clock_timestamp(), false) as leased,
           coalesce((select w.wake from table_loader.batch_wakes w where w.batch_id = b.batch_id), 0) as wake,
           coalesce((select sum(i.slices) from table_loader.work_items i where i.plan_id = b.plan_id), 0)::bigint as progress
    from table_loader.batches b
    where b.batch_id = ${batchId}
    for update of b skip locked
  `;
  return batch;
}

/** Reasons that need not lie in the environment: the batch's own content may have ended the worker. */
const unexplained: readonly (string | null)[] = [null, "STAGE_UNFINISHED", "LOADER_BUG"];

/** Number of takeovers in a row during which no checkpoint moved, and for which the batch may be the reason. */
function idleTakeovers(batch: BatchRow, owner: string): number {
  if (batch.state !== "loading" || batch.owner === null) return 0;
  if (batch.progress !== batch.progress_seen) return 0;
  if (batch.owner === owner) return batch.idle_takeovers;
  return unexplained.includes(batch.reason_code) ? batch.idle_takeovers + 1 : batch.idle_takeovers;
}

async function hasEndedAttempt(tx: Tx, { batchId, owner }: ClaimRequest): Promise<boolean> {
  const [row] = await tx<{ ended: boolean }[]>`
    select exists (
      select from table_loader.attempts
      where batch_id = ${batchId} and owner = ${owner} and state in ('loaded', 'compared', 'failed')
    ) as ended
  `;
  return row?.ended ?? false;
}

/** The fault with which the sweep marked the execution of this fence as ended from outside, or null. */
async function readAborted(tx: Tx, batchId: string, fence: number | null): Promise<Fault | null> {
  if (fence === null) return null;
  const [row] = await tx<Fault[]>`
    select code, message from table_loader.attempts where batch_id = ${batchId} and fence = ${fence}
  `;
  return row ?? null;
}

async function abandonEarlier(tx: Tx, batchId: string, fence: number): Promise<void> {
  await tx`
    update table_loader.attempts
    set state = 'abandoned', ended_at = clock_timestamp()
    where batch_id = ${batchId} and fence <= ${fence} and state = 'running'
  `;
}

async function countWake(sql: postgres.Sql, batchId: string): Promise<void> {
  await inTransaction(sql, {}, async (tx) => {
    await tx`
      insert into table_loader.batch_wakes as w (batch_id, wake) values (${batchId}, 1)
      on conflict (batch_id) do update set wake = w.wake + 1
    `;
  });
}

async function release(tx: Tx, claimed: Claimed, waiting: Fault | null): Promise<"released" | "again"> {
  const { batchId } = claimed;
  const moved = await wakeMoved(tx, batchId);
  const state = await lockFence(tx, claimed);
  if (moved) return "again";
  const idle = state === "waiting" || state === "loading";
  if (waiting?.code !== "IN_LINE") await giveUpPlace(tx, batchId);
  await tx`
    update table_loader.batches
    set owner = null,
        lease_until = null,
        aborted_fence = null,
        plan_id = null,
        attempt = case when state = 'loading' then greatest(attempt - 1, 0) else attempt end,
        state = ${idle ? "waiting" : state},
        reason_code = ${waiting?.code ?? null},
        reason = ${waiting?.message ?? null},
        waiting_since = case when ${waiting !== null} then coalesce(waiting_since, now()) end,
        updated_at = now()
    where batch_id = ${batchId}
  `;
  await tx`
    with freed as (
      update table_loader.batch_tables set state = 'waiting', updated_at = now()
      where batch_id = ${batchId} and state = 'loading'
      returning table_name
    )
    update public.validation_queue q set validation_status = 'validated', updated_at = now()
    from freed
    where q.batch_id = ${batchId} and q.table_name = freed.table_name and q.validation_status = 'loading'
  `;
  if (waiting?.code === "BATCH_EMPTY") await forgetUnknown(tx, batchId);
  return "released";
}

/** Gives up the place in line, which would otherwise keep out every other execution of the batch until it expires. */
async function giveUpPlace(tx: Tx, batchId: string): Promise<void> {
  await tx`
    delete from table_loader.line l using table_loader.batches b
    where b.batch_id = ${batchId} and l.batch_id = b.batch_id and l.owner = b.owner
  `;
}

/** Deletes a batch that does not exist: a start by hand leaves nothing behind. */
async function forgetUnknown(tx: Tx, batchId: string): Promise<void> {
  await tx`
    with forgotten as (
      delete from table_loader.batches b
      where b.batch_id = ${batchId} and b.attempt = 0
        and not exists (select from public.validation_queue q where q.batch_id = b.batch_id)
        and not exists (select from table_loader.object_versions v where v.batch_id = b.batch_id)
      returning b.batch_id
    )
    delete from table_loader.batch_wakes w using forgotten f where w.batch_id = f.batch_id
  `;
}
