import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { randomExecutionName } from "../../lib/local/interpreter.ts";
import { openSql } from "../../lib/postgres/connection.ts";
import { inTransaction } from "../../lib/postgres/transaction.ts";
import { onCrashPoint, openLoader } from "../../lib/wiring.ts";
import { attemptsOf, ledgerOf, newBatch, outcomesOf, sampleLoaded, stageSample } from "../support/batches.ts";
import { sweepOnce, takeOver, waitForLock } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, specimens, subjects } from "../support/records.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => flow.close());
afterEach(() => {
  onCrashPoint(() => undefined);
  vi.restoreAllMocks();
});

const start = (batchId: string, more: object = {}): string =>
  flow.machine.start(randomExecutionName(), JSON.stringify({ batchId, source: "arrival", ...more })).arn;

/** Lets the first `count` that reach the point go on together. */
function barrier(point: string, count: number): void {
  const all = Promise.withResolvers<void>();
  let waiting = 0;
  onCrashPoint((at) => {
    if (at !== point || waiting >= count) return undefined;
    waiting += 1;
    if (waiting === count) all.resolve();
    return all.promise;
  });
}

test("C01 five executions claim in the same moment: one loads, the others are busy and count their wakes", async () => {
  const batch = await stageSample(flow);
  barrier("before-claim", 5);
  const arns = Array.from({ length: 5 }, () => start(batch.id));
  const ended = await Promise.all(arns.map((arn) => flow.machine.settle(arn)));
  expect(ended.map(({ status }) => status)).toEqual(Array(5).fill("SUCCEEDED"));
  const busy = ended.filter(({ output }) => output?.includes("BATCH_BUSY"));
  expect(busy).toHaveLength(4);
  expect(busy.every(({ states }) => states.filter((state) => state === "ValidateBatch").length === 1)).toBe(true);
  expect(await outcomesOf(flow, batch)).toEqual([{ code: "BATCH_BUSY", source: "arrival", times: 4 }]);
  const [wakes] = await flow.sql`select wake::integer from table_loader.batch_wakes where batch_id = ${batch.id}`;
  expect(wakes).toEqual({ wake: 4 });
  expect(await attemptsOf(flow, batch)).toEqual(["loaded"]);
  expect(await ledgerOf(flow, batch)).toMatchObject({ fence: 1, state: "loaded" });
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("C02 two batches update the same rows at once: both load, the later one wins, undo images chain", async () => {
  const parents = newBatch(flow);
  await flow.queueRow({ batchId: parents.id, table: "subject", approved: true });
  await flow.queueRow({ batchId: parents.id, table: "specimen", approved: true });
  await parents.drop("subject.json", subjects(parents.prefix, 50));
  await parents.drop("specimen.json", specimens(parents.prefix, 50, { quantity: 1 }));
  await flow.run({ batchId: parents.id });
  const both = await Promise.all(
    [2, 3].map(async (quantity) => {
      const batch = newBatch(flow);
      await flow.queueRow({ batchId: batch.id, table: "specimen", approved: true });
      await batch.drop("specimen.json", specimens(parents.prefix, 50, { quantity }));
      return { batch, quantity };
    }),
  );
  barrier("before-commit", 2);
  const ended = await Promise.all(both.map(({ batch }) => flow.machine.settle(start(batch.id))));
  expect(ended.map(({ status }) => status)).toEqual(["SUCCEEDED", "SUCCEEDED"]);
  const commits = await flow.sql<{ batch_id: string; updated: number }[]>`
    select batch_id, (counts->>'records_updated')::integer as updated from table_loader.commits
    where batch_id = any(${both.map(({ batch }) => batch.id)}) order by committed_at`;
  expect(commits.map(({ updated }) => updated)).toEqual([50, 50]);
  const [first, second] = commits.map(({ batch_id: id }) => both.find(({ batch }) => batch.id === id)?.quantity);
  const images = (id = "") => flow.sql`
    select distinct (old_row->>'quantity')::float8 as quantity from table_loader.undo_rows
    where batch_id = ${id} and operation = 'update'`;
  expect([...(await images(commits[0]?.batch_id))]).toEqual([{ quantity: 1 }]);
  expect([...(await images(commits[1]?.batch_id))]).toEqual([{ quantity: first }]);
  const stored = await flow.sql`
    select distinct quantity::float8 as quantity from specimen where sample_id like ${`${parents.prefix}-%`}`;
  expect([...stored]).toEqual([{ quantity: second }]);
  await expectInvariants(flow);
});

test("C04 an application inserts the same new key meanwhile: judged again, final state exact", async () => {
  const batch = await stageSample(flow);
  const application = await flow.database.connect({ max: 1 }).reserve();
  await application`begin`;
  await application`
    insert into subject (global_subject_id, center_code, date_enrolled, consent, source_updated_at)
    values (${`${batch.prefix}-2`}, 'APP', '2019-01-01', true, '2020-01-01')`;
  const arn = start(batch.id);
  await waitForLock(flow);
  await application`commit`;
  application.release();
  const { status, output } = await flow.machine.settle(arn);
  expect(status).toBe("SUCCEEDED");
  expect(JSON.parse(output ?? "")).toMatchObject({
    tables: { subject: { records_loaded: 2, records_updated: 1 }, blood: { records_loaded: 3 } },
  });
  expect(await batch.probe()).toEqual(sampleLoaded);
  const [row] = await flow.sql`select center_code from subject where global_subject_id = ${`${batch.prefix}-2`}`;
  expect(row).toEqual({ center_code: "CHI" });
  await expectInvariants(flow);
});

test.each([
  { clock: "an hour ahead", shift: 3_600_000 },
  { clock: "an hour behind", shift: -3_600_000 },
])("C05 a worker's clock $clock: no early steal, no eternal lease", async ({ shift }) => {
  const batch = await stageSample(flow);
  const real = Date.now;
  const loader = await openLoader();
  vi.spyOn(Date, "now").mockImplementation(() => real() + shift);
  const claim = (owner: string) => loader.ports.claims.claim({ batchId: batch.id, owner, source: "arrival" });
  expect(await claim("slow")).toMatchObject({ fence: 1 });
  const [lease] = await flow.sql`
    select extract(epoch from lease_until - clock_timestamp())::float8 as seconds
    from table_loader.batches where batch_id = ${batch.id}`;
  expect(lease?.seconds).toBeGreaterThan(110);
  expect(lease?.seconds).toBeLessThanOrEqual(120);
  expect(await claim("other")).toBeNull();
  vi.restoreAllMocks();
  await loader.close();
  await takeOver(flow, batch);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("C12 a transaction that fails leaves a clean connection, and what it set goes with it", async () => {
  const { host, port, user, password } = flow.database.server;
  const sql = openSql({ host, port, user, database: flow.database.name, password: () => password, tls: null });
  const failing = inTransaction(sql, {}, (tx) => tx`select 1 / 0`);
  await expect(failing).rejects.toMatchObject({ code: "DB_VALUE" });
  const swallowed = inTransaction(sql, {}, async (tx) => {
    await tx`select 1 / 0`.catch(() => undefined);
    return "committed";
  });
  await expect(swallowed).rejects.toMatchObject({ code: "DB_NOT_COMMITTED" });
  const [row] = await inTransaction(sql, { budget: 5 }, (tx) => tx`select 1 as one`);
  expect(row).toEqual({ one: 1 });
  expect(await sql`show statement_timeout`).toEqual([{ statement_timeout: "0" }]);
  await sql.end();
});

test("D03 a connection that ends while nothing is asked: DB_CONNECTION_LOST, and the process survives", async () => {
  const { host, port, user, password } = flow.database.server;
  const sql = openSql({ host, port, user, database: flow.database.name, password: () => password, tls: null });
  const lost = inTransaction(sql, {}, async (tx) => {
    const [{ pid } = { pid: 0 }] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
    await flow.sql`select pg_terminate_backend(${pid}, 5000)`;
    throw new Error("something else failed meanwhile");
  });
  await expect(lost).rejects.toMatchObject({ name: "TransientError", code: "DB_CONNECTION_LOST" });
  const [row] = await inTransaction(sql, {}, (tx) => tx`select 1 as one`);
  expect(row).toEqual({ one: 1 });
  await sql.end();
});

test("a batch that somebody commits is skipped by claims and sweeps, which wait for nothing", async () => {
  const batch = await stageSample(flow);
  await flow.run({ batchId: batch.id });
  await batch.drop("blood.json", bloods(batch.prefix, 2));
  const committing = await flow.database.connect({ max: 1 }).reserve();
  await committing`begin`;
  await committing`select from table_loader.batches where batch_id = ${batch.id} for update`;
  const { output } = await flow.run({ batchId: batch.id, source: "arrival" });
  expect(output).toMatchObject({ code: "BATCH_BUSY" });
  await committing`rollback`;
  committing.release();
  const swept = await sweepOnce(flow);
  expect(swept.runs).toMatchObject([{ status: "FAILED", error: "BATCH_CONTENT_CHANGED" }]);
  await expectInvariants(flow);
});
