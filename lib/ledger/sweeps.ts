import type postgres from "postgres";
import type { CursorName, Sweeps } from "../core/healing.ts";
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
    cursor: (name) =>
      inTransaction(sql, {}, async (tx) => {
        const [row] = await tx<{ position: string }[]>`
          select position from table_loader.cursors where name = ${name}
        `;
        return row?.position ?? "";
      }),
    moveCursor: (name, position) => inTransaction(sql, {}, (tx) => moveCursor(tx, name, position)),
    record: ({ batchId, kind, detail }) =>
      inTransaction(sql, {}, async (tx) => {
        await tx`insert into table_loader.healings (batch_id, kind, detail) values (${batchId}, ${kind}, ${detail})`;
      }),
    gauges: () => inTransaction(sql, {}, readGauges),
  };
}

async function readGauges(tx: Tx): Promise<{ stalled: number; blocked: number }> {
  const [row] = await tx<{ stalled: number; blocked: number }[]>`
    select count(*) filter (where health_status = 'STALLED') as stalled,
           count(*) filter (where health_status = 'BLOCKED') as blocked
    from public.loader_status
  `;
  return { stalled: row?.stalled ?? 0, blocked: row?.blocked ?? 0 };
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
