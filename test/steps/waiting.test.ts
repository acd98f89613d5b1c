import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { onCrashPoint } from "../../lib/wiring.ts";
import {
  attemptsOf,
  ledgerOf,
  newBatch,
  nothingLoaded,
  outcomesOf,
  queueOf,
  removeObject,
  sampleLoaded,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { sweepOnce } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, subjects } from "../support/records.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => flow.close());

type Unready = { readonly code: string; readonly named: string; readonly prepare: (batch: TestBatch) => Promise<void> };

const both = async (batch: TestBatch, more: object = {}): Promise<void> => {
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true, ...more });
  await batch.drop("subject.json", subjects(batch.prefix, 3));
  await batch.drop("blood.json", bloods(batch.prefix, 3));
};

const unready: Unready[] = [
  {
    code: "NOT_QUEUED",
    named: "table blood",
    prepare: async (batch) => {
      await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
      await batch.drop("subject.json", subjects(batch.prefix, 3));
      await batch.drop("blood.json", bloods(batch.prefix, 3));
    },
  },
  { code: "NOT_VALIDATED", named: "table blood", prepare: (batch) => both(batch, { status: "pending" }) },
  { code: "VALIDATION_FAILED", named: "table blood", prepare: (batch) => both(batch, { status: "failed" }) },
  { code: "NOT_APPROVED", named: "table blood", prepare: (batch) => both(batch, { approved: false }) },
  {
    code: "TABLE_INCOMPLETE",
    named: "_SUCCESS",
    prepare: async (batch) => {
      await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
      await batch.drop("subject/part-1.json", subjects(batch.prefix, 3));
    },
  },
  {
    code: "TABLE_MISSING",
    named: "table blood",
    prepare: async (batch) => {
      await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
      await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
      await batch.drop("subject.json", subjects(batch.prefix, 3));
    },
  },
];

test.each(unready)("$code: an arrival waits and is green, a manual start is refused and names it", async (row) => {
  const batch = newBatch(flow);
  await row.prepare(batch);
  const before = flow.notices.length;
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { next: "wait", code: row.code } }]);
  const waiting = await ledgerOf(flow, batch);
  expect(waiting).toMatchObject({ state: "waiting", reason_code: row.code, attempt: 0 });
  expect(waiting?.reason).toContain(row.named);
  const manual = await flow.run({ batchId: batch.id });
  expect(manual).toMatchObject({ status: "FAILED", error: row.code });
  expect(manual.cause).toContain(row.named);
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  expect(await outcomesOf(flow, batch)).toEqual([
    { code: row.code, source: "arrival", times: 1 },
    { code: row.code, source: "manual", times: 1 },
  ]);
  expect(flow.notices).toHaveLength(before);
  expect(await attemptsOf(flow, batch)).toEqual([]);
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(flow.objects(batch.key("")).length).toBeGreaterThan(0);
  await expectInvariants(flow);
  for (const key of flow.objects(batch.key(""))) await removeObject(flow, key);
});

test("a start of a batch that does not exist is refused and leaves nothing behind", async () => {
  const batch = newBatch(flow);
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED", error: "BATCH_EMPTY" });
  expect(await ledgerOf(flow, batch)).toBeUndefined();
  expect(await flow.sql`select from table_loader.batch_wakes where batch_id = ${batch.id}`).toHaveLength(0);
});

test("a late approval: the next sweep loads the batch", async () => {
  const batch = await stageSample(flow, { approved: false });
  await flow.arrivals();
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  await flow.approve(batch.id);
  expect(await sweepOnce(flow)).toMatchObject({ started: [batch.id], runs: [{ status: "SUCCEEDED" }] });
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded", reason_code: null });
  await expectInvariants(flow);
});

test("late parts and their _SUCCESS: the arrival that completes the table loads it", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
  await batch.drop("subject.json", subjects(batch.prefix, 3));
  const [first, ...others] = bloods(batch.prefix, 3);
  await batch.drop("blood/part-1.json", [first]);
  expect((await flow.arrivals()).runs).toMatchObject([{ output: { code: "TABLE_INCOMPLETE" } }]);
  await batch.drop("blood/part-2.json", others);
  await batch.drop("blood/_SUCCESS", "");
  expect((await flow.arrivals()).runs).toMatchObject([{ output: { status: "success", records_read: 6 } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  const archived = ["blood/_SUCCESS", "blood/part-1.json", "blood/part-2.json", "load_result.json", "subject.json"];
  expect(flow.objects(`loaded/${batch.id}/`)).toEqual(archived.map((name) => `loaded/${batch.id}/${name}`));
  await expectInvariants(flow);
});

describe("A8 what an approval covers", () => {
  test("a fragment replaced after the approval needs a new one, a first version that comes late does not", async () => {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "subject" });
    await flow.queueRow({ batchId: batch.id, table: "blood" });
    await batch.drop("subject.json", subjects(batch.prefix, 2));
    await flow.arrivals();
    await flow.approve(batch.id);
    await batch.drop("subject.json", subjects(batch.prefix, 3));
    await batch.drop("blood.json", bloods(batch.prefix, 3));
    const { runs } = await flow.arrivals();
    expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { code: "APPROVAL_OUTDATED" } }]);
    expect((await ledgerOf(flow, batch))?.reason).toContain("subject.json was replaced");
    expect((await ledgerOf(flow, batch))?.reason).not.toContain("blood.json");
    expect(await sweepOnce(flow)).toMatchObject({ started: [] });
    // The replaced version is of this very second, and the ledger has seen it: the new approval covers it.
    await flow.approve(batch.id);
    expect(await sweepOnce(flow)).toMatchObject({ started: [batch.id] });
    expect(await batch.probe()).toEqual(sampleLoaded);
    await expectInvariants(flow);
  });

  test("within one second only what was seen before the approval is covered; operate approve writes down what it sees", async () => {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "subject" });
    await batch.drop("subject.json", subjects(batch.prefix, 2));
    await flow.arrivals();
    await batch.drop("subject.json", subjects(batch.prefix, 3));
    // an approval of that second, by SQL: the loader cannot know whether the person saw the newer version
    const head = await fetch(`${flow.bucket.endpoint}/${flow.bucket.name}/${batch.key("subject.json")}`);
    await flow.sql`
      update validation_queue set approved_for_load = true, approved_at = ${head.headers.get("last-modified")}
      where batch_id = ${batch.id}`;
    const { runs } = await flow.arrivals();
    expect(runs).toMatchObject([{ output: { code: "APPROVAL_OUTDATED" } }]);
    await batch.drop("subject.json", subjects(batch.prefix, 1));
    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    await flow.arrivals();
    expect(await queueOf(flow, batch)).toEqual({ subject: "loaded" });
    expect(await batch.probe()).toMatchObject({ subjects: 1 });
    await expectInvariants(flow);
  });
});

describe("between plan and commit", () => {
  test("approval withdrawn: nothing is loaded, the batch waits; approved again it loads as the same attempt", async () => {
    const batch = await stageSample(flow);
    onCrashPoint(async (point) => {
      if (point !== "before-commit") return;
      await flow.sql`update validation_queue set approved_for_load = false where batch_id = ${batch.id} and table_name = 'blood'`;
    });
    const { runs } = await flow.arrivals();
    onCrashPoint(() => undefined);
    expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { next: "wait", code: "NOT_APPROVED" } }]);
    expect(await batch.probe()).toEqual(nothingLoaded);
    expect(await queueOf(flow, batch)).toEqual({ subject: "validated", blood: "validated" });
    await expectInvariants(flow);
    await flow.approve(batch.id);
    expect(await sweepOnce(flow)).toMatchObject({ started: [batch.id], runs: [{ output: { attempt: 1 } }] });
    expect(await batch.probe()).toEqual(sampleLoaded);
    await expectInvariants(flow);
  });

  test("a row of the queue is deleted, and another table has two: nothing is loaded", async () => {
    const batch = await stageSample(flow);
    await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
    onCrashPoint(async (point) => {
      if (point !== "before-commit") return;
      await flow.sql`delete from validation_queue where batch_id = ${batch.id} and table_name = 'blood'`;
    });
    const { runs } = await flow.arrivals();
    onCrashPoint(() => undefined);
    expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { next: "wait", code: "NOT_QUEUED" } }]);
    expect(await batch.probe()).toEqual(nothingLoaded);
    await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
    await sweepOnce(flow);
    expect(await batch.probe()).toEqual(sampleLoaded);
    await expectInvariants(flow);
  });

  test("C09 ALTER TABLE: planned again with the new column, nothing by the old plan", async () => {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
    await batch.drop("subject.json", subjects(batch.prefix, 3, { nickname: "x" }));
    let altered = false;
    onCrashPoint(async (point) => {
      if (point !== "after-plan" || altered) return;
      altered = true;
      await flow.sql`alter table subject add column nickname text`;
    });
    const { output, states } = await flow.run({ batchId: batch.id });
    onCrashPoint(() => undefined);
    expect(states.filter((state) => state === "ValidateBatch")).toHaveLength(2);
    expect(output).toMatchObject({ status: "success", attempt: 1, records_loaded: 3 });
    const named = await flow.sql`select from subject where nickname = 'x'`;
    expect(named).toHaveLength(3);
    await expectInvariants(flow);
  });

  test("C09 ALTER TABLE again and again: BLOCKED DB_SCHEMA_CHANGED, and it loads when the tables stay as they are", async () => {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
    await batch.drop("subject.json", subjects(batch.prefix, 3));
    const changes = 3;
    let altered = 0;
    const reasons: unknown[] = [];
    onCrashPoint(async (point) => {
      if (point === "before-claim" && altered > 1) reasons.push((await ledgerOf(flow, batch))?.reason_code);
      if (point !== "after-plan" || altered === changes) return;
      altered += 1;
      await flow.sql.unsafe(`alter table subject add column changed_${altered} text`);
    });
    const { output, states } = await flow.run({ batchId: batch.id });
    onCrashPoint(() => undefined);
    expect(states.filter((state) => state === "BlockedWait")).toHaveLength(changes - 1);
    expect(reasons).toEqual(["DB_SCHEMA_CHANGED", "DB_SCHEMA_CHANGED"]);
    expect(output).toMatchObject({ status: "success", attempt: 1, records_loaded: 3 });
    await expectInvariants(flow);
  });
});
