import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { openSql } from "../../lib/postgres/connection.ts";
import { inTransaction } from "../../lib/postgres/transaction.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { openTcpProxy } from "../support/tcp-proxy.ts";

/** D03: a connection that ends before it is ready is an error of its transaction, and of nothing else. */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

const login = (port: number) => {
  const { host, user, password } = database.server;
  return { host, port, user, password: () => password, database: database.name, tls: null };
};
const ask = (sql: ReturnType<typeof openSql>) => inTransaction(sql, {}, (tx) => tx`select 1 as one`);

/** What the server says until it is ready takes about 500 bytes; beyond is the first statement's answer. */
const lengths = [0, 1, 9, 24, 40, 90, 130, 200, 300, 400, 480, 500, 510, 520, 530, 540];

test.each(["reset", "close"] as const)("D03 a %s at any point of the start-up", async (how) => {
  for (const bytes of lengths) {
    const proxy = await openTcpProxy(database.server);
    proxy.endAfter(bytes, how);
    const sql = openSql(login(proxy.port));
    await expect(ask(sql), `after ${bytes} bytes`).rejects.toMatchObject({
      name: "TransientError",
      code: "DB_CONNECTION_LOST",
    });
    expect(proxy.connections(), `after ${bytes} bytes`).toBe(1);
    // And a second one, which must not wait for the first.
    proxy.endAfter(Number.MAX_SAFE_INTEGER, how);
    expect(await ask(sql)).toEqual([{ one: 1 }]);
    await sql.end();
    await proxy.close();
  }
});

test("D01 nobody listens", async () => {
  const sql = openSql(login(1));
  await expect(ask(sql)).rejects.toMatchObject({ name: "TransientError", code: "DB_UNAVAILABLE" });
  await sql.end();
});

test("a server that accepts and says nothing", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void silent.close());
  const sql = openSql({ ...login((silent.address() as AddressInfo).port), limits: { open: 0.3 } });
  await expect(ask(sql)).rejects.toMatchObject({ name: "TransientError", code: "DB_STALLED" });
  await sql.end({ timeout: 1 });
});

test("a server that speaks something else", async () => {
  const stranger = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void stranger.close());
  const sql = openSql({ ...login((stranger.address() as AddressInfo).port), limits: { open: 1 } });
  await expect(ask(sql)).rejects.toMatchObject({ name: "TransientError" });
  await sql.end({ timeout: 1 });
});

test("a password that cannot be had is that transaction's error", async () => {
  const refusing = {
    ...login(database.server.port),
    password: () => Promise.reject(Object.assign(new Error("no credentials"), { name: "CredentialsProviderError" })),
  };
  const sql = openSql(refusing);
  await expect(ask(sql)).rejects.toMatchObject({ name: "CredentialsProviderError" });
  await sql.end();
});

test("D02, D11 what the server refuses keeps its code", async () => {
  const wrong = openSql({ ...login(database.server.port), password: () => "wrong" });
  await expect(ask(wrong)).rejects.toMatchObject({ name: "BlockedError", code: "DB_AUTH" });
  const elsewhere = openSql({ ...login(database.server.port), database: "nowhere" });
  await expect(ask(elsewhere)).rejects.toMatchObject({ name: "BlockedError", code: "DB_MISSING" });
  await Promise.all([wrong.end(), elsewhere.end()]);
});

test("several transactions at once share as many connections as there may be", async () => {
  const proxy = await openTcpProxy(database.server);
  const sql = openSql({ ...login(proxy.port), connections: 2 });
  const answers = await Promise.all(Array.from({ length: 6 }, () => ask(sql)));
  expect(answers).toHaveLength(6);
  expect(proxy.connections()).toBe(2);
  await sql.end();
  await proxy.close();
});

test("arrays go both ways as they are, with everything that needs care in them", async () => {
  const texts = ["", "a", 'quote " and \\ backslash', "comma, {brace}", "NULL", "ümläut\n", " "];
  const sql = openSql(login(database.server.port));
  const [row] = await inTransaction(
    sql,
    {},
    (tx) => tx`
      select ${texts}::text[] as texts, array['x', null]::text[] as holes, array[]::text[] as none,
             ${[1, 9007199254740991]}::bigint[] as numbers, array_length(${texts}::text[], 1) as length`,
  );
  expect(row).toEqual({
    texts,
    holes: ["x", null],
    none: [],
    numbers: [1, 9007199254740991],
    length: texts.length,
  });
  await sql.end();
});
