import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from "vitest";
import { openSql } from "../../lib/postgres/connection.ts";
import { hasCapability, inTransaction } from "../../lib/postgres/transaction.ts";
import { stageSample } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow({ variables: { TRANSACTION_TIMEOUT: "1" } });
  await flow.sql.unsafe(`
    create sequence tries;
    create function wait_a_little() returns trigger language plpgsql as
      $$ begin perform nextval('tries'); perform pg_sleep(10); return null; end $$`);
});
afterAll(() => flow.close());

const open = () => {
  const { host, port, user, password } = flow.database.server;
  const sql = openSql({ host, port, user, database: flow.database.name, password: () => password, tls: null });
  onTestFinished(() => sql.end());
  return sql;
};

const isNew = inject("server").majorVersion >= 17;
const names = [
  "lock_timeout",
  "statement_timeout",
  "idle_in_transaction_session_timeout",
  "client_connection_check_interval",
  "tcp_keepalives_idle",
  "tcp_keepalives_interval",
  "tcp_keepalives_count",
  "tcp_user_timeout",
  ...(isNew ? ["transaction_timeout"] : []),
];

test("D12 a transaction's limits are in force within it, and nothing of them is left behind", async () => {
  const sql = open();
  const read = async (ask: typeof sql): Promise<Record<string, string>> => {
    const rows = await ask<{ name: string; setting: string }[]>`
      select name, setting || coalesce(unit, '') as setting from pg_settings where name = any(${names}::text[])`;
    return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
  };
  const before = await read(sql);
  expect(Object.keys(before)).toHaveLength(names.length);
  const inside = await inTransaction(sql, { budget: 7 }, read);
  expect(inside).toEqual({
    lock_timeout: "20000ms",
    statement_timeout: "7000ms",
    idle_in_transaction_session_timeout: "45000ms",
    client_connection_check_interval: "10000ms",
    tcp_keepalives_idle: "15s",
    tcp_keepalives_interval: "10s",
    tcp_keepalives_count: "3",
    tcp_user_timeout: "45000ms",
    ...(isNew && { transaction_timeout: "12000ms" }),
  });
  expect(await inTransaction(sql, {}, read)).toMatchObject({ statement_timeout: before.statement_timeout });
  expect(await read(sql)).toEqual(before);
});

test("the versions that limit a whole transaction are known", () => {
  const limited = ["16.10", "17.0", "18beta1", "18.4 (Debian)"].filter((version) =>
    hasCapability(version, "transactionTimeout"),
  );
  expect(limited).toEqual(["17.0", "18beta1", "18.4 (Debian)"]);
});

test("D08 many short statements end in time, too, and the pool can be used afterwards", async () => {
  const sql = open();
  const started = performance.now();
  let statements = 0;
  const slow = inTransaction(sql, { budget: 1.5 }, async (tx) => {
    for (; statements < 40; statements += 1) await tx`select pg_sleep(0.3)`;
  });
  await expect(slow).rejects.toMatchObject({ name: "TransientError", code: "DB_TIMEOUT" });
  expect(statements).toBeGreaterThan(1);
  expect(performance.now() - started).toBeLessThan(6_000);
  expect(await inTransaction(sql, {}, (tx) => tx`select 1 as one`)).toEqual([{ one: 1 }]);
});

test.runIf(isNew)(
  "D08 the server ends a transaction that its statements' limit lets by; the next one works",
  async () => {
    const sql = open();
    const session = (tx: Pick<typeof sql, "unsafe">) => tx.unsafe("select pg_backend_pid() as pid");
    const [before] = await inTransaction(sql, {}, session);
    const started = performance.now();
    const slow = inTransaction(sql, { budget: 1 }, async (tx) => {
      // a clock that runs keeps its time until it is stopped
      const clock = ["transaction_timeout = 0", "transaction_timeout = '1200ms'", "statement_timeout = 0"];
      await tx.unsafe(clock.map((setting) => `set local ${setting}`).join("; "));
      await tx`select pg_sleep(20)`;
    });
    await expect(slow).rejects.toMatchObject({ name: "TransientError", code: "DB_TIMEOUT" });
    expect(performance.now() - started).toBeLessThan(6_000);
    const [after] = await inTransaction(sql, {}, session);
    expect(after?.pid).not.toBe(before?.pid);
    const log = () => readFileSync(flow.database.server.logFile, "utf8");
    await expect.poll(log).toContain("FATAL:  terminating connection due to transaction timeout");
  },
);

test.runIf(isNew)("D08 a limit that the role has of its own does not shorten the budget", async () => {
  const { user } = flow.database.server;
  await flow.sql.unsafe(`alter role ${user} in database ${flow.database.name} set transaction_timeout = '300ms'`);
  const slept = inTransaction(open(), { budget: 30 }, async (tx) => {
    await tx`select pg_sleep(0.8)`;
    return "slept";
  });
  const ended = await slept.finally(() =>
    flow.sql.unsafe(`alter role ${user} in database ${flow.database.name} reset transaction_timeout`),
  );
  expect(ended).toBe("slept");
});

test("D08 one long statement after short ones gets what is left", async () => {
  const sql = open();
  const started = performance.now();
  const slow = inTransaction(sql, { budget: 3 }, async (tx) => {
    await tx`select pg_sleep(2)`;
    await tx`select pg_sleep(30)`;
  });
  await expect(slow).rejects.toMatchObject({ name: "TransientError", code: "DB_TIMEOUT" });
  expect(performance.now() - started).toBeLessThan(4_800);
  expect(await inTransaction(sql, {}, (tx) => tx`select 1 as one`)).toEqual([{ one: 1 }]);
});

test("D08 a commit that does not fit: tried once more, then the batch's own fault, with phase and time", async () => {
  const batch = await stageSample(flow);
  await flow.sql`create trigger waiting after insert on blood execute function wait_a_little()`;
  const { status, error, cause, states } = await flow.run({ batchId: batch.id });
  await flow.sql`drop trigger waiting on blood`;
  expect(status).toBe("FAILED");
  expect(`${error} ${cause}`).toMatch(
    /DB_TIMEOUT.*the commit of batch_\S+ ran out of time after [\d.]+ s \(phase: merge blood\)/,
  );
  expect(states).toContain("FailBatch");
  // A sequence does not roll back.
  expect(await flow.sql`select last_value::integer as tries from tries`).toEqual([{ tries: 2 }]);
  expect(await flow.sql`select from blood`).toHaveLength(0);
  await expectInvariants(flow);
});
