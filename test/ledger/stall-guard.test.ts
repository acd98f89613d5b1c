import { setTimeout as pause } from "node:timers/promises";
import type postgres from "postgres";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { PermanentError } from "../../lib/core/errors.ts";
import { type ConnectionLimits, openSql } from "../../lib/postgres/connection.ts";
import { inTransaction } from "../../lib/postgres/transaction.ts";
import { openCopy } from "../../lib/targets/postgres/staging.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { openTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

/** A network that swallows everything: neither an answer nor an end ever comes. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.sql.unsafe(`
    create table table_loader_staging.p1_0 (_tl_item bigint, _tl_record bigint, _tl_absent text, filling text)`);
});
afterAll(() => database.close());

type Bench = { readonly sql: postgres.Sql; readonly proxy: TcpProxy };

async function openBench(limits: Partial<ConnectionLimits>): Promise<Bench> {
  const { server, name } = database;
  const { host, user, password } = server;
  const proxy = await openTcpProxy(server);
  onTestFinished(() => proxy.close());
  const login = { host, port: proxy.port, user, password: () => password, database: name, tls: null };
  return { proxy, sql: openSql({ ...login, limits }) };
}

const stalled = { name: "TransientError", code: "DB_STALLED" };
const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;

/** A connection that says nothing must not keep anybody from closing. */
async function expectClosed({ sql }: Bench): Promise<void> {
  const started = performance.now();
  await sql.end({ timeout: 1 });
  expect(performance.now() - started).toBeLessThan(5_000);
}

const place = { planId: 1, plan: { columns: [{ name: "filling" }] }, index: 0 } as unknown as Parameters<
  typeof openCopy
>[1];
const line = Buffer.from(`1\t1\t\\N\t${"x".repeat(64_000)}\n`);

/** A COPY as a slice does it. */
async function copyLines({ sql, proxy }: Bench, lines: number, stallBefore: "write" | "end" | "abort"): Promise<void> {
  await inTransaction(sql, { durable: false }, async (tx, watch) => {
    const copy = await openCopy(tx, place);
    await watch.pause(async () => {
      if (stallBefore === "write") proxy.stall();
      for (let n = 0; n < lines; n += 1) await watch.awaitProgress(() => copy.write(line));
      proxy.stall();
      await watch.awaitProgress(stallBefore === "abort" ? copy.abort : copy.end);
      if (stallBefore === "abort") throw new PermanentError("JSON_SYNTAX", "line 1");
    });
  });
}

test("a COPY whose bytes nobody takes ends as DB_STALLED, whatever the slice may take", async () => {
  const bench = await openBench({ transaction: 600, stall: 0.5 });
  await expect(copyLines(bench, 2_000, "write")).rejects.toMatchObject(stalled);
  await expectClosed(bench);
});

test("a COPY to whose end no answer comes", async () => {
  const bench = await openBench({ transaction: 600, stall: 0.5 });
  await expect(copyLines(bench, 2, "end")).rejects.toMatchObject(stalled);
  await expectClosed(bench);
});

test("a COPY that is given up for another reason, which stays the reason", async () => {
  const bench = await openBench({ transaction: 600, stall: 0.5 });
  await expect(copyLines(bench, 2, "abort")).rejects.toMatchObject({ code: "JSON_SYNTAX" });
  await expectClosed(bench);
});

test("a slow reader is no stall: while nothing is written, COPY waits", async () => {
  const bench = await openBench({ transaction: 0.3, stall: 0.2 });
  const rows = await inTransaction(bench.sql, {}, async (tx, watch) => {
    await watch.pause(async () => {
      const copy = await openCopy(tx, place);
      await watch.awaitProgress(() => copy.write(line));
      await pause(500);
      await watch.awaitProgress(() => copy.write(line));
      await watch.awaitProgress(copy.end);
    });
    return tx`select from table_loader_staging.p1_0`;
  });
  expect(rows).toHaveLength(2);
  await expectClosed(bench);
});

test("a statement without an answer, with a budget and without one", async () => {
  for (const [budget, limits] of [
    [undefined, { transaction: 0.5 }],
    [1, { grace: 0.2 }],
  ] as const) {
    const bench = await openBench(limits);
    const waiting = inTransaction(bench.sql, { budget }, async (tx) => {
      bench.proxy.stall();
      await tx`select 1`;
    });
    await expect(waiting).rejects.toMatchObject(stalled);
    await expectClosed(bench);
  }
});

test("a commit without an answer", async () => {
  const bench = await openBench({ transaction: 0.5 });
  const waiting = inTransaction(bench.sql, {}, async () => bench.proxy.stall());
  await expect(waiting).rejects.toMatchObject(stalled);
  await expectClosed(bench);
});

test("work that waits for something else ends, and cannot ask the connection any more", async () => {
  const bench = await openBench({ transaction: 0.3 });
  const later = Promise.withResolvers<unknown>();
  const waiting = inTransaction(bench.sql, {}, async (tx) => {
    await pause(600);
    await Promise.resolve()
      .then(() => tx`select 1`)
      .catch(later.resolve);
  });
  await expect(waiting).rejects.toMatchObject(stalled);
  expect(await later.promise).toMatchObject(stalled);
  await expectClosed(bench);
});

test("a rollback without an answer does not hide why there is one", async () => {
  const bench = await openBench({ stall: 0.3 });
  const failing = inTransaction(bench.sql, {}, async () => {
    bench.proxy.stall();
    throw new PermanentError("RECORDS_REJECTED", "some");
  });
  await expect(failing).rejects.toMatchObject({ code: "RECORDS_REJECTED" });
  await expectClosed(bench);
});

test("the next transaction gets a connection of its own, and none leaves a timer behind", async () => {
  const bench = await openBench({});
  const before = timers();
  const waiting = inTransaction(bench.sql, {}, async (tx) => {
    const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
    // The server ends it, and the client takes no notice: another end that nobody hears of.
    await database.sql`select pg_terminate_backend(${row?.pid ?? 0}, 5000)`;
    await pause(50);
    await tx`select 1`;
  });
  await expect(waiting).rejects.toMatchObject({ name: "TransientError", code: "DB_CONNECTION_LOST" });
  const [row] = await inTransaction(bench.sql, {}, (tx) => tx`select current_database() as name`);
  expect(row).toEqual({ name: database.name });
  expect(bench.proxy.connections()).toBe(2);
  await bench.sql.end();
  expect(timers()).toBeLessThanOrEqual(before);
});
