import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  attemptsOf,
  ledgerOf,
  newBatch,
  nothingLoaded,
  outcomesOf,
  queueOf,
  sampleLoaded,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { buryTheDead, crashAt, sweepOnce, takeOver } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, specimens, subjects } from "../support/records.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => {
  buryTheDead();
  return flow.close();
});

const broken = (batch: TestBatch): object[] => bloods(batch.prefix, 3, { tube_type: "bucket" });

/** Subjects are good, every blood record is not: the batch fails, and everything goes to `failed/`. */
async function failSample(): Promise<TestBatch> {
  const batch = await stageSample(flow);
  await batch.drop("blood.json", broken(batch));
  await flow.approve(batch.id);
  await flow.sql`update validation_queue set approved_at = now() + interval '2 seconds' where batch_id = ${batch.id}`;
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
  await flow.arrivals();
  return batch;
}

const names = (prefix: string): string[] => flow.objects(prefix).map((key) => key.slice(prefix.length));

test("a queue with little room for the reason: it is cut, and the batch fails all the same", async () => {
  await flow.sql`alter table validation_queue alter column error_summary type varchar(40)`;
  const batch = await failSample();
  const rows = await flow.sql`select error_summary from validation_queue where batch_id = ${batch.id}`;
  const summary = expect.stringMatching(/^RECORDS_REJECTED: .{22}$/);
  expect([...rows]).toEqual([{ error_summary: summary }, { error_summary: summary }]);
  await flow.sql`alter table validation_queue alter column error_summary type text`;
  await expectInvariants(flow);
});

describe("E9 retry", () => {
  test("a failed batch: an arrival is recorded and skipped, the mended fragment and the one in failed/ load", async () => {
    const batch = await failSample();
    expect(await outcomesOf(flow, batch)).toEqual([{ code: "BATCH_FAILED", source: "arrival", times: 1 }]);
    expect(await queueOf(flow, batch)).toEqual({ subject: "load_failed", blood: "load_failed" });
    expect(names(`failed/${batch.id}/`)).toEqual(["blood.json", "error_log.json", "load_result.json", "subject.json"]);
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED", error: "BATCH_FAILED" });

    await batch.drop("blood.json", bloods(batch.prefix, 3));
    const { runs } = await flow.arrivals();
    expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { next: "wait", code: "BATCH_FAILED" } }]);
    expect(await sweepOnce(flow)).toMatchObject({ started: [] });
    expect(await batch.probe()).toEqual(nothingLoaded);

    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    const retried = await flow.run({ batchId: batch.id, action: "retry" });
    expect(retried).toMatchObject({ status: "SUCCEEDED", output: { status: "success", attempt: 2 } });
    expect(await batch.probe()).toEqual(sampleLoaded);
    expect(flow.objects(batch.key(""))).toEqual([]);
    expect(names(`loaded/${batch.id}/`)).toEqual(["blood.json", "load_result.attempt-2.json", "subject.json"]);
    // what was mended stays as it failed; what was read in place has moved
    expect(names(`failed/${batch.id}/`)).toEqual(["blood.json", "error_log.json", "load_result.json"]);
    expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
    expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({
      output: { code: "BATCH_ALREADY_LOADED" },
    });
    await expectInvariants(flow);
  });

  test("a second failure goes to attempt-2, and a third try still finds everything", async () => {
    const batch = await failSample();
    await batch.drop("blood.json", bloods(batch.prefix, 3, { tube_type: "barrel" }));
    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    const second = await flow.run({ batchId: batch.id, action: "retry" });
    expect(second).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
    const attempt2 = ["blood.json", "error_log.json", "load_result.attempt-2.json", "subject.json"];
    expect(names(`failed/${batch.id}/attempt-2/`)).toEqual(attempt2);
    // the catalog is mended instead of the data
    await flow.sql`alter type tube_type add value if not exists 'barrel'`;
    const third = await flow.run({ batchId: batch.id, action: "retry" });
    expect(third).toMatchObject({ status: "SUCCEEDED", output: { status: "success", attempt: 3 } });
    expect(await batch.probe()).toEqual(sampleLoaded);
    const tubes = await flow.sql`select distinct tube_type from blood where sample_id like ${`${batch.prefix}-%`}`;
    expect([...tubes]).toEqual([{ tube_type: "barrel" }]);
    expect(await attemptsOf(flow, batch)).toEqual(["failed", "failed", "loaded"]);
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test("a retry that dies is finished by the sweep", async () => {
    const batch = await failSample();
    await batch.drop("blood.json", bloods(batch.prefix, 3));
    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    await crashAt(flow, batch, "mid-copy", { input: { action: "retry" } });
    // planned again from the start, it still reads what lies in failed/
    await flow.sql`alter table blood add column retried text`;
    expect((await takeOver(flow, batch)).runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
    expect(await batch.probe()).toEqual(sampleLoaded);
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test("a mended fragment needs an approval of its own; what is read in place keeps its standing", async () => {
    const batch = await failSample();
    await flow.sql`update validation_queue set approved_at = now() - interval '1 minute' where batch_id = ${batch.id}`;
    await batch.drop("blood.json", bloods(batch.prefix, 3));
    const retried = await flow.run({ batchId: batch.id, action: "retry" });
    expect(retried).toMatchObject({ status: "FAILED", error: "APPROVAL_OUTDATED" });
    expect(retried.cause).toContain("blood.json");
    expect(retried.cause).not.toContain("subject.json");
    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({ status: "SUCCEEDED" });
    expect(await batch.probe()).toEqual(sampleLoaded);
    await flow.arrivals();
    await expectInvariants(flow);
  });
});

describe("A9 a subset by tables", () => {
  test("the others are held: sweep and arrivals leave them, a manual start loads them", async () => {
    const batch = await stageSample(flow);
    const first = await flow.run({ batchId: batch.id, tables: ["subject"] });
    expect(first).toMatchObject({ status: "SUCCEEDED", output: { status: "success", records_loaded: 3 } });
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "waiting" });
    expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "validated" });
    expect(flow.objects(batch.key(""))).toEqual([batch.key("blood.json")]);
    expect(await sweepOnce(flow)).toMatchObject({ started: [] });
    await flow.arrivals();
    expect(await batch.probe()).toMatchObject({ subjects: 3, bloods: 0 });
    await expectInvariants(flow);
    const second = await flow.run({ batchId: batch.id });
    expect(second).toMatchObject({ status: "SUCCEEDED", output: { attempt: 2, records_loaded: 3 } });
    expect(await batch.probe()).toEqual(sampleLoaded);
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
    await expectInvariants(flow);
  });

  test("approval and completeness concern only the chosen tables; one that is not there is named", async () => {
    const batch = await stageSample(flow, { approved: false });
    await flow.invoke("operate", {
      operation: "approve",
      batchId: batch.id,
      tables: ["subject"],
      approvedBy: "data manager",
    });
    const missing = await flow.run({ batchId: batch.id, tables: ["subject", "stool"] });
    expect(missing).toMatchObject({ status: "FAILED", error: "TABLE_MISSING" });
    expect(missing.cause).toContain("table stool");
    expect(await flow.run({ batchId: batch.id, tables: ["subject"] })).toMatchObject({ status: "SUCCEEDED" });
    expect(await batch.probe()).toMatchObject({ subjects: 3, bloods: 0 });
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test("a failed subset: the others stay in staging, and a retry of another table does not make it held", async () => {
    const batch = await stageSample(flow);
    await flow.queueRow({ batchId: batch.id, table: "specimen", approved: true });
    await batch.drop("specimen.json", specimens(batch.prefix, 2));
    await batch.drop("blood.json", broken(batch));
    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    const failed = await flow.run({ batchId: batch.id, tables: ["blood"] });
    expect(failed).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
    expect(flow.objects(batch.key(""))).toEqual([batch.key("specimen.json"), batch.key("subject.json")]);
    const others = await flow.run({ batchId: batch.id, action: "retry", tables: ["subject", "specimen"] });
    expect(others).toMatchObject({ status: "SUCCEEDED", output: { records_loaded: 5 } });
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "failed" });
    expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", specimen: "loaded", blood: "load_failed" });
    await flow.arrivals();
    await expectInvariants(flow);
    await batch.drop("blood.json", bloods(batch.prefix, 3));
    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({ status: "SUCCEEDED" });
    expect(await batch.probe()).toEqual(sampleLoaded);
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
    await flow.arrivals();
    await expectInvariants(flow);
  });
});

test("T09 one table of three fails: nothing visible in the others, and the report shows each table", async () => {
  const batch = await stageSample(flow);
  await flow.queueRow({ batchId: batch.id, table: "specimen", approved: true });
  await batch.drop("specimen.json", specimens(batch.prefix, 2, { quantity: -1 }));
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "FAILED", error: "RECORDS_REJECTED" }]);
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(await flow.json(`failed/${batch.id}/load_result.json`)).toMatchObject({
    status: "failed",
    errors: [{ code: "RECORDS_REJECTED" }],
    tables: {
      subject: { status: "failed", records_read: 3, records_failed: 0 },
      blood: { status: "failed", records_read: 3, records_failed: 0 },
      specimen: { status: "failed", records_read: 2, records_failed: 2 },
    },
  });
  expect(flow.notices.at(-1)).toMatchObject({ state: "NotifyFailure" });
  await expectInvariants(flow);
});

test("T10 a child's fragment that arrives and stands before its parent's: foreign-key order, not file order", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  expect((await flow.arrivals()).runs).toMatchObject([{ output: { code: "TABLE_MISSING" } }]);
  await batch.drop("subject.json", subjects(batch.prefix, 3));
  expect((await flow.arrivals()).runs).toMatchObject([{ output: { status: "success" } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});
