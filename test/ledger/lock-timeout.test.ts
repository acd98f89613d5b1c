import type postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { closeSql, openSql } from "../../lib/postgres/connection.ts";
import { inTransaction } from "../../lib/postgres/transaction.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let loader: postgres.Sql;
beforeAll(async () => {
  database = await openTestDatabase();
  const { host, port, user, password } = database.server;
  loader = openSql({ host, port, database: database.name, user, password: () => password, tls: null });
  await database.sql.unsafe("create table locked (k int primary key, t text); insert into locked values (1, 'canary')");
});
afterAll(async () => {
  await closeSql(loader);
  await database.close();
});

/** Holds what `statement` locks while `work` goes on; answers the process that holds it. */
async function holding(statement: string, work: (pid: number) => Promise<void>): Promise<void> {
  const other = database.connect({ max: 1 });
  await other
    .begin(async (tx) => {
      const [row] = await tx`select pg_backend_pid() as pid`;
      await tx.unsafe(statement);
      await work(row?.pid);
      throw new Error("held long enough");
    })
    .catch((error: Error) => {
      if (error.message !== "held long enough") throw error;
    });
}

const waits = (statement: string): Promise<unknown> =>
  inTransaction(loader, { lockMilliseconds: 100 }, (tx) => tx.unsafe(statement)).catch((error: unknown) => error);

test.each([
  ["a table", "lock table locked in access exclusive mode", "insert into public.locked values (2, 'x')"],
  ["a table that is written to", "update locked set t = 'y'", "lock table public.locked in share row exclusive mode"],
  ["a row", "update locked set t = 'z' where k = 1", "select k from locked where k = 1 for no key update"],
])("D07: somebody holds %s: DB_LOCK_TIMEOUT names it and the process, and nothing is held", async (_, held, wanted) => {
  await holding(held, async (pid) => {
    const fault = await waits(wanted);
    expect(fault).toMatchObject({ name: "TransientError", code: "DB_LOCK_TIMEOUT" });
    expect((fault as Error).message).toContain(`: public.locked by process ${pid};`);
    expect((fault as Error).message).not.toContain("canary");
    const locks = await database.sql`
      select l.mode from pg_locks l join pg_stat_activity a using (pid)
      where a.datname = current_database() and l.pid <> ${pid} and l.relation = 'locked'::regclass`;
    expect([...locks]).toEqual([]);
  });
  await inTransaction(loader, { lockMilliseconds: 100 }, (tx) => tx.unsafe(wanted));
  await database.sql`delete from locked where k = 2`;
});
