import type postgres from "postgres";
import { longestTurnWaitSeconds, quietLoadSeconds, turnPlaceSeconds } from "../core/durations.ts";
import {
  assignWorkers,
  type FreeCapacity,
  freeLoads,
  isTurn,
  secondsUntilAsked,
  type Turn,
  type TurnRequest,
  type Turns,
  type WorkerLimits,
} from "../core/workers.ts";
import { inTransaction, type Tx } from "../postgres/transaction.ts";
import { readState } from "./claims.ts";

/** Decides which batch may begin its load, and with how many workers. */
export function openTurns(sql: postgres.Sql, limits: WorkerLimits): Turns {
  return {
    enter: (request) => inTransaction(sql, {}, (tx) => enter(tx, request, limits)),
    waits: (batchId, owner) =>
      inTransaction(sql, {}, async (tx) => {
        const places = await tx`
          select from table_loader.line
          where batch_id = ${batchId} and owner = ${owner} and expires_at > clock_timestamp()
        `;
        return places.length > 0;
      }),
    assign: (planId, wanted) =>
      inTransaction(sql, { durable: false }, async (tx) => {
        const capacity = await readCapacity(tx, planId);
        const workers = assignWorkers(wanted, capacity, { maxWorkers: limits.maxWorkers, others: 0 });
        await tx`update table_loader.plans set workers = ${workers} where plan_id = ${planId}`;
        return workers;
      }),
  };
}

async function enter(tx: Tx, request: TurnRequest, limits: WorkerLimits): Promise<Turn> {
  // One decision at a time. A lock of the session would tie a connection of a proxy to this client.
  await tx`select pg_advisory_xact_lock(hashtextextended('table_loader.line', 0))`;
  await readState(tx, request);
  await tx`delete from table_loader.line where expires_at < clock_timestamp()`;
  if (!(await join(tx, request))) return { turn: "elsewhere" };
  const capacity = await readCapacity(tx, null);
  const line = await readPlace(tx, request.batchId);
  const free = freeLoads(capacity, limits);
  if (!isTurn(line, free)) return wait(tx, request, line);
  const others = Math.max(0, Math.min(free - 1, line.waiting - 1));
  const workers = assignWorkers(request.wanted, capacity, { maxWorkers: limits.maxWorkers, others });
  await tx`
    update table_loader.line set admitted = true, workers = ${workers} where batch_id = ${request.batchId}
  `;
  return { turn: "now", workers };
}

async function wait(tx: Tx, { batchId }: TurnRequest, { ahead, waited }: Place): Promise<Turn> {
  if (waited < longestTurnWaitSeconds) return { turn: "later", ahead, waitSeconds: secondsUntilAsked(ahead, waited) };
  await giveUpTurn(tx, batchId);
  return { turn: "expired", ahead };
}

/** False if another execution waits for the same batch: that one looks at everything again when its turn comes. */
async function join(tx: Tx, { batchId, owner, approvedAt }: TurnRequest): Promise<boolean> {
  const joined = await tx`
    insert into table_loader.line as l (batch_id, owner, approved_at, expires_at)
    values (${batchId}, ${owner}, ${approvedAt.toISOString()},
            clock_timestamp() + make_interval(secs => ${turnPlaceSeconds}))
    on conflict (batch_id) do update
    set owner = excluded.owner, approved_at = excluded.approved_at, expires_at = excluded.expires_at,
        admitted = false, workers = 0
    -- this execution holds the batch: one that was admitted before and wrote no plan has ended
    where l.owner = excluded.owner or l.admitted
  `;
  return joined.count === 1;
}

type Place = { ahead: number; waiting: number; waited: number };

async function readPlace(tx: Tx, batchId: string): Promise<Place> {
  const [row] = await tx<Place[]>`
    select count(*) filter (where (l.approved_at, l.joined_at, l.batch_id)
                              < (own.approved_at, own.joined_at, own.batch_id)) as ahead,
           count(*) as waiting,
           max(extract(epoch from clock_timestamp() - own.joined_at))::float8 as waited
    from table_loader.line l, table_loader.line own
    where own.batch_id = ${batchId} and not l.admitted
  `;
  return row ?? { ahead: 0, waiting: 1, waited: 0 };
}

/** @param ownPlan the plan that asks, and is not counted; null if there is none yet */
async function readCapacity(tx: Tx, ownPlan: number | null): Promise<FreeCapacity> {
  const [row] = await tx<{ workers: number; loads: number; free_connections: number; lock_waits: number }[]>`
    select (atwork.workers + admitted.workers)::integer as workers,
           (atwork.loads + admitted.loads)::integer as loads,
           (current_setting('max_connections')::integer * 4 / 5
             - (select sum(numbackends) from pg_stat_database))::integer as free_connections,
           -- without the advisory lock, for which batches wait that ask for their turn
           (select count(*) from pg_locks where not granted and locktype <> 'advisory')::integer as lock_waits
    from (
      select coalesce(sum(p.workers), 0) as workers, count(b.batch_id) filter (where b.state = 'loading') as loads
      from table_loader.plans p
      left join table_loader.batches b on b.plan_id = p.plan_id
      where p.plan_id is distinct from ${ownPlan}::bigint
        and greatest(b.lease_until, p.lease_until) > clock_timestamp()
        and (b.state is null or b.state not in ('committed', 'archived', 'failing'))
        -- a blocked load may wait for hours, and keeps no other from loading meanwhile; if only some of its workers are
        -- blocked, the others renew the lease, and it counts
        and (b.reason_code is null or b.updated_at > clock_timestamp() - make_interval(secs => ${quietLoadSeconds}))
    ) atwork, (
      select coalesce(sum(workers), 0) as workers, count(*) as loads from table_loader.line where admitted
    ) admitted
  `;
  return {
    workers: row?.workers ?? 0,
    loads: row?.loads ?? 0,
    freeConnections: row?.free_connections ?? 0,
    lockWaits: row?.lock_waits ?? 0,
  };
}

/** Ends the batch's place in line. Once its plan is written, in the same transaction, the workers of the plan count. */
export async function giveUpTurn(tx: Tx, batchId: string): Promise<void> {
  await tx`delete from table_loader.line where batch_id = ${batchId}`;
}
