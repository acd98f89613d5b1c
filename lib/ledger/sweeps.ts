import type postgres from "postgres";
import type { CursorName, SweepGauges, Sweeps } from "../core/sweep-ports.ts";
import { inTransaction, type Tx } from "./transaction.ts";

const leaseName = "sweep";
/** More than a sweep may take. */
const leaseSeconds = 300;

/** The sweep's own lease, cursors and records. */
export function openSweeps(sql: postgres.Sql): Sweeps {
  return {
    begin: (owner) => inTransaction(sql, {}, (tx) => begin(tx, owner)),
    end: (owner) =>
      inTransaction(sql, {}, async (tx) => {
        await tx`delete from table_loader.leases where name = ${leaseName} and owner = ${owner}`;
      }),
    cursor: (name) => inTransaction(sql, {}, (tx) => readCursor(tx, name)),
    moveCursor: (name, position) => inTransaction(sql, {}, (tx) => moveCursor(tx, name, position)),
    record: ({ batchId, kind, detail }) =>
      inTransaction(sql, {}, async (tx) => {
        await tx`insert into table_loader.healings (batch_id, kind, detail) values (${batchId}, ${kind}, ${detail})`;
      }),
    gauges: () => inTransaction(sql, {}, readGauges),
  };
}

type GaugeRow = Omit<SweepGauges, "deadlocks"> & { readonly counted: number };

const nothing: GaugeRow = {
  stalled: 0,
  blocked: 0,
  waiting: 0,
  inLine: 0,
  pendingItems: 0,
  secondsSinceCheckpoint: 0,
  connectionsUsed: 0,
  counted: 0,
};

/** Only batches that are not done are looked at: the archive grows for ever. */
async function readGauges(tx: Tx): Promise<SweepGauges> {
  const [row = nothing] = await tx<GaugeRow[]>`
    select count(*) filter (where s.health_status = 'STALLED') as stalled,
           count(*) filter (where s.health_status = 'BLOCKED') as blocked,
           count(*) filter (where s.health_status = 'WAITING' and b.reason_code is distinct from 'IN_LINE') as waiting,
           coalesce(greatest(0, max(extract(epoch from clock_timestamp() - b.updated_at))
             filter (where b.state = 'loading')), 0)::float8 as "secondsSinceCheckpoint",
           (select count(*) from table_loader.line
            where not admitted and expires_at > clock_timestamp()) as "inLine",
           (select count(*) from table_loader.work_items
            where state = 'pending' and kind = 'fragment') as "pendingItems",
           (select 100.0 * sum(numbackends) / current_setting('max_connections')::integer
            from pg_stat_database)::float8 as "connectionsUsed",
           (select deadlocks from pg_stat_database where datname = current_database()) as counted
    from table_loader.batches b
    join public.loader_status s on s.source = b.batch_id
    where b.owner is not null or b.state in ('waiting', 'loading', 'committed', 'archived', 'failing')
  `;
  const { counted, ...gauges } = row;
  return { ...gauges, deadlocks: await sinceLastSweep(tx, counted) };
}

/** The server counts from its start, or from the last time that its statistics were reset. */
async function sinceLastSweep(tx: Tx, counted: number): Promise<number> {
  const last = await readCursor(tx, "deadlocks");
  await moveCursor(tx, "deadlocks", String(counted));
  if (last === "") return 0;
  return counted < Number(last) ? counted : counted - Number(last);
}

async function readCursor(tx: Tx, name: CursorName): Promise<string> {
  const [row] = await tx<{ position: string }[]>`select position from table_loader.cursors where name = ${name}`;
  return row?.position ?? "";
}

/** A lease row, and no session lock: a proxy may hand the session to somebody else. */
async function begin(tx: Tx, owner: string): Promise<boolean> {
  const taken = await tx`
    insert into table_loader.leases as l (name, owner, lease_until)
    values (${leaseName}, ${owner}, clock_timestamp() + make_interval(secs => ${leaseSeconds}))
    on conflict (name) do update set owner = excluded.owner, lease_until = excluded.lease_until
    where l.lease_until < clock_timestamp()
  `;
  return taken.count === 1;
}

async function moveCursor(tx: Tx, name: CursorName, position: string): Promise<void> {
  await tx`
    insert into table_loader.cursors (name, position) values (${name}, ${position})
    on conflict (name) do update set position = excluded.position, moved_at = clock_timestamp()
  `;
}
