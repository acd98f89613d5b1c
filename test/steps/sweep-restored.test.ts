import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { loadedPrefix } from "../../lib/core/keys.ts";
import type { CrashPoint } from "../../lib/core/ports.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import {
  ledgerOf,
  newBatch,
  nothingLoaded,
  queueOf,
  removeObject,
  sampleLoaded,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { buryTheDead, crashAt, expectNothingToHeal, sweepOnce, takeOver } from "../support/crash.ts";
import { takeSnapshot } from "../support/database.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, subjects } from "../support/records.ts";

/** I3: what lies in the archive without a commit takes effect once again, read where it lies. */

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => {
  buryTheDead();
  return flow.close();
});
afterEach(() => onCrashPoint(() => undefined));

const archiveOf = (batchId: string): string[] => flow.objects(`${loadedPrefix}${batchId}/`);

async function expectLoadedOnce(batch: TestBatch): Promise<void> {
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
  expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  expect(flow.objects(batch.key(""))).toEqual([]);
  const archived = ["blood.json", "load_result.json", "subject.json"].map((name) => `loaded/${batch.id}/${name}`);
  expect(archiveOf(batch.id)).toEqual(archived);
  expect(flow.objects(`failed/${batch.id}/`)).toEqual([]);
  await expectNothingToHeal(flow);
  await expectInvariants(flow);
}

test.each(["after-archive", "before-report"] as const)(
  "the database is restored to before the commit while the load is at %s: it says nothing that is not true any more",
  async (point) => {
    const batch = await stageSample(flow);
    let snapshot: Awaited<ReturnType<typeof takeSnapshot>> | null = null;
    let restored = false;
    onCrashPoint(async (at) => {
      if (at === "before-commit" && snapshot === null) snapshot = await takeSnapshot(flow);
      if (at !== point || restored) return;
      restored = true;
      await snapshot?.restore();
    });
    const run = await flow.run({ batchId: batch.id });
    expect(restored).toBe(true);
    expect(run).toMatchObject({ status: "SUCCEEDED", output: { status: "success", records_read: 6 } });
    expect(await batch.probe()).toEqual(sampleLoaded);
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
    expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
    await expectInvariants(flow);
  },
);

describe("the database is restored to a moment of a load that was finished since", () => {
  const moments: { point: CrashPoint; time?: number; state: string | undefined; merged: boolean }[] = [
    { point: "before-claim", state: undefined, merged: false },
    { point: "after-claim", state: "waiting", merged: false },
    { point: "after-plan", state: "loading", merged: false },
    { point: "mid-copy", time: 2, state: "loading", merged: false },
    { point: "before-commit", state: "loading", merged: false },
    { point: "after-commit", state: "committed", merged: true },
    { point: "after-archive-copy", state: "committed", merged: true },
    { point: "after-archive", state: "committed", merged: true },
    { point: "before-report", state: "archived", merged: true },
  ];

  test.each(moments)("$point ($state): exactly once again", async ({ point, time, state, merged }) => {
    const batch = await stageSample(flow);
    await crashAt(flow, batch, point, time === undefined ? {} : { time });
    const snapshot = await takeSnapshot(flow);
    await takeOver(flow, batch);
    await flow.arrivals();
    await expectLoadedOnce(batch);

    await snapshot.restore();
    expect((await ledgerOf(flow, batch))?.state).toBe(state);
    expect(await batch.probe()).toEqual(merged ? sampleLoaded : nothingLoaded);
    const swept = await takeOver(flow, batch);
    expect(swept.runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success", attempt: 1 } }]);
    await expectLoadedOnce(batch);
  });
});

async function loadSample(): Promise<TestBatch> {
  const batch = await stageSample(flow);
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  await flow.arrivals();
  return batch;
}

/** As if the database had been restored to before the batch was delivered. */
async function forget({ id, prefix }: TestBatch, { queue = true }: { queue?: boolean } = {}): Promise<void> {
  const { sql } = flow;
  const tables = ["batches", "batch_tables", "batch_wakes", "attempts", "object_versions", "commits", "undo_images"];
  for (const table of [...tables, "outcomes", "healings"]) {
    await sql`delete from table_loader.${sql(table)} where batch_id = ${id}`;
  }
  await sql`delete from load_audit_log where batch_id = ${id}`;
  await sql`delete from audit_log where batch_id = ${id}`;
  await sql`delete from blood where sample_id like ${`${prefix}-%`}`;
  await sql`delete from subject where global_subject_id like ${`${prefix}-%`}`;
  await sql`update validation_queue set validation_status = 'validated', loaded_at = null where batch_id = ${id}`;
  if (!queue) await sql`delete from validation_queue where batch_id = ${id}`;
}

describe("the ledger knows nothing of a batch in the archive", () => {
  test("approved: it loads by itself, and says so", async () => {
    const batch = await loadSample();
    await forget(batch);
    const swept = await sweepOnce(flow);
    expect(swept).toMatchObject({ started: [batch.id], healed: { STRAY_ARCHIVE: 1 } });
    expect(swept.runs).toMatchObject([{ output: { status: "success", records_loaded: 6 } }]);
    await expectLoadedOnce(batch);
  });

  test("not in the queue: it waits with NOT_QUEUED, visibly, until it is approved", async () => {
    const batch = await loadSample();
    await forget(batch, { queue: false });
    expect(await sweepOnce(flow)).toMatchObject({ started: [], healed: { STRAY_ARCHIVE: 1 } });
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "waiting", reason_code: "NOT_QUEUED" });
    const listed = (await flow.invoke("operate", { operation: "batches" })) as { batches: { batch_id: string }[] };
    expect(listed.batches.find(({ batch_id: id }) => id === batch.id)).toMatchObject({ reason_code: "NOT_QUEUED" });
    await expectNothingToHeal(flow);
    expect(await batch.probe()).toEqual(nothingLoaded);
    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { status: "success" } }]);
    await expectLoadedOnce(batch);
  });

  test("a start by hand finds it before any sweep does", async () => {
    const batch = await loadSample();
    await forget(batch);
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ output: { status: "success", records_loaded: 6 } });
    await expectLoadedOnce(batch);
  });

  test("a load from the archive that dies is gone on with, and not planned again", async () => {
    const batch = await loadSample();
    await forget(batch);
    await crashAt(flow, batch, "before-commit");
    expect((await takeOver(flow, batch)).runs).toMatchObject([{ output: { status: "success", attempt: 1 } }]);
    const plans = await flow.sql`select distinct plan_id from table_loader.attempts where batch_id = ${batch.id}`;
    expect(plans).toHaveLength(1);
    await expectLoadedOnce(batch);
  });

  test("parts, a marker and a kept duplicate: the table is complete, the duplicate and the report are none of it", async () => {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
    await batch.drop("subject/part-1.json", subjects(batch.prefix, 2));
    await batch.drop("subject/part-2.json", subjects(batch.prefix, 3).slice(2));
    await batch.drop("subject/_SUCCESS", "");
    await flow.run({ batchId: batch.id });
    await flow.arrivals();
    const key = `loaded/${batch.id}/duplicates/v1/subject.json`;
    await flow.put(key, subjects(batch.prefix, 9));
    await forget(batch);
    expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { status: "success", records_loaded: 3 } }]);
    expect(await batch.probe()).toMatchObject({ subjects: 3 });
    await expectNothingToHeal(flow);
    await removeObject(flow, key);
    await expectInvariants(flow);
  });

  test("a table that fails now stays where it lies, and a retry reads it there", async () => {
    const batch = await loadSample();
    await forget(batch);
    await flow.sql`alter table blood add constraint restored check (volume_ml < 3) not valid`;
    const swept = await sweepOnce(flow);
    expect(swept.runs).toMatchObject([{ status: "FAILED", error: "RECORDS_REJECTED" }]);
    expect(archiveOf(batch.id)).toContain(`loaded/${batch.id}/subject.json`);
    expect(flow.objects(`failed/${batch.id}/`)).not.toContain(`failed/${batch.id}/subject.json`);
    await expectNothingToHeal(flow);
    await flow.sql`alter table blood drop constraint restored`;
    expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({ output: { status: "success" } });
    expect(await batch.probe()).toEqual(sampleLoaded);
    await expectNothingToHeal(flow);
    await expectInvariants(flow);
  });
});

test("what lies in staging supersedes its namesake in the archive, and needs an approval of its own", async () => {
  const batch = await loadSample();
  await forget(batch);
  await flow.sql`update validation_queue set approved_at = now() - interval '1 minute' where batch_id = ${batch.id}`;
  await batch.drop("blood.json", bloods(batch.prefix, 2));
  expect(await sweepOnce(flow)).toMatchObject({ started: [], healed: { STRAY_ARCHIVE: 1 } });
  expect(await ledgerOf(flow, batch)).toMatchObject({ reason_code: "APPROVAL_OUTDATED" });
  await removeObject(flow, batch.key("blood.json"));
  expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { status: "success" } }]);
  await flow.arrivals();
  await expectLoadedOnce(batch);
});

test("a mended batch that is restored to its failure: what a retry loaded since is loaded again", async () => {
  const batch = await stageSample(flow);
  await batch.drop("blood.json", bloods(batch.prefix, 3, { tube_type: "bucket" }));
  await flow.sql`update validation_queue set approved_at = now() + interval '2 seconds' where batch_id = ${batch.id}`;
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED" });
  await flow.arrivals();
  const snapshot = await takeSnapshot(flow);
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
  expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({ status: "SUCCEEDED" });
  await flow.arrivals();
  await snapshot.restore();
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "failed" });
  expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { status: "success" } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

describe("restored to before a late table of a loaded batch was loaded", () => {
  async function loseLateTable(): Promise<TestBatch> {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
    await batch.drop("subject.json", subjects(batch.prefix, 3));
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
    await flow.arrivals();
    const snapshot = await takeSnapshot(flow);
    await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
    await batch.drop("blood.json", bloods(batch.prefix, 3));
    expect((await flow.arrivals()).runs).toMatchObject([{ output: { status: "success", epoch: 1 } }]);
    await snapshot.restore();
    expect(await batch.probe()).toEqual({ ...nothingLoaded, subjects: 3 });
    return batch;
  }

  async function expectBothLoaded(batch: TestBatch): Promise<void> {
    expect(await batch.probe()).toEqual(sampleLoaded);
    expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
    await expectNothingToHeal(flow);
    await expectInvariants(flow);
  }

  test("approved again: the sweep finds it in the archive and loads it", async () => {
    const batch = await loseLateTable();
    await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
    const swept = await sweepOnce(flow);
    expect(swept).toMatchObject({ started: [batch.id], healed: { STRAY_ARCHIVE: 1 } });
    expect(swept.runs).toMatchObject([{ output: { status: "success", records_loaded: 3 } }]);
    await expectBothLoaded(batch);
  });

  test("not in the queue: it waits to be approved", async () => {
    const batch = await loseLateTable();
    expect(await sweepOnce(flow)).toMatchObject({ started: [], healed: { STRAY_ARCHIVE: 1 } });
    await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
    expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { status: "success" } }]);
    await expectBothLoaded(batch);
  });

  test("approved again and started by hand before any sweep", async () => {
    const batch = await loseLateTable();
    await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ output: { status: "success", records_loaded: 3 } });
    await expectBothLoaded(batch);
  });
});

test("of several epochs in the archive the last one is loaded; what it replaced had been rolled back", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await flow.put(`loaded/${batch.id}/subject.json`, subjects(batch.prefix, 5));
  await flow.put(`loaded/${batch.id}/epoch-2/subject.json`, subjects(batch.prefix, 3));
  expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { status: "success", epoch: 2, records_loaded: 3 } }]);
  expect(await batch.probe()).toMatchObject({ subjects: 3 });
  await expectNothingToHeal(flow);
});
