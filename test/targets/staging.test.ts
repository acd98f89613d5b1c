import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { closeSql, openSql } from "../../lib/postgres/connection.ts";
import { inTransaction } from "../../lib/postgres/transaction.ts";
import { dropStaging } from "../../lib/targets/postgres/staging.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let loader: postgres.Sql;
let worker: postgres.Sql;
beforeAll(async () => {
  database = await openTestDatabase();
  const { host, port, user, password, adminUrl } = database.server;
  loader = openSql({ host, port, database: database.name, user, password: () => password, tls: null });
  worker = postgres(adminUrl, { database: database.name, max: 1, onnotice: () => undefined });
});
afterAll(async () => {
  await closeSql(loader);
  await worker.end({ timeout: 1 });
  await database.close();
});

const planId = 777;
const staged = () => database.sql`select from pg_tables where tablename = 'p777_0'`;

test("a staging table whose worker waits for the batch, which is locked here, is left, and the transaction goes on", async () => {
  await database.sql`create unlogged table table_loader_staging.p777_0 (t text)`;
  await database.sql`insert into table_loader.batches (batch_id) values ('b')`;
  const pid = Promise.withResolvers<number>();
  const [locked, inserted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const writing = worker.begin(async (tx) => {
    // it has waited for longer by then than the server waits before it looks for a deadlock
    await tx`set local deadlock_timeout = '30s'`;
    await tx`insert into table_loader_staging.p777_0 values ('x')`;
    inserted.resolve();
    await locked.promise;
    const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
    pid.resolve(row?.pid ?? 0);
    await tx`update table_loader.batches set updated_at = now() where batch_id = 'b'`;
  });
  await inserted.promise;
  const kept = await inTransaction(loader, {}, async (tx) => {
    await tx`select from table_loader.batches where batch_id = 'b' for update`;
    locked.resolve();
    await untilWaiting(await pid.promise);
    await dropStaging(tx, planId);
    const [row] = await tx<{ patience: string }[]>`select current_setting('lock_timeout') as patience`;
    return row?.patience;
  });
  expect(kept).toBe("20s");
  await writing;
  expect(await staged()).toHaveLength(1);
  await inTransaction(loader, {}, (tx) => dropStaging(tx, planId));
  expect(await staged()).toHaveLength(0);
});

async function untilWaiting(pid: number): Promise<void> {
  const waits = () => database.sql`select from pg_locks where pid = ${pid} and not granted`;
  while ((await waits()).length === 0);
}
