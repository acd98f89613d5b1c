import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Run } from "../../lib/core/run.ts";
import type { WorkItem } from "../../lib/core/work-item.ts";
import { onCrashPoint, openLoader } from "../../lib/wiring.ts";
import {
  attemptsOf,
  ledgerOf,
  newBatch,
  nothingLoaded,
  queueOf,
  sampleLoaded,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { buryTheDead, crashAt, expireLease, sweepOnce, takeOver } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, subjects } from "../support/records.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => {
  buryTheDead();
  return flow.close();
});
afterEach(() => onCrashPoint(() => undefined));

/** Plans the batch as one execution would, and answers its run. */
async function plan({ id }: TestBatch, execution: string): Promise<Run & { next: string }> {
  return (await flow.invoke("validate-batch", { input: { batchId: id }, execution })) as Run & { next: string };
}
const stage = (run: Run) => flow.invoke("stage-fragments", { run, execution: run.runId, worker: 1 });
const call = (name: "commit-batch" | "archive-fragments" | "close-batch", run: Run) =>
  flow.invoke(name, { run, execution: run.runId });
const fail = (run: Run, Cause: string) =>
  flow.invoke("fail-batch", { run, execution: run.runId, error: { Error: "PermanentError", Cause } });

async function finish(run: Run): Promise<unknown> {
  await call("archive-fragments", run);
  return call("close-batch", run);
}

test("a zombie that goes on after a takeover: StaleFence, its rows roll back, the load is exact", async () => {
  const batch = await stageSample(flow);
  const old = await plan(batch, "zombie");
  const loader = await openLoader();
  const body = (await loader.ports.plans.read(old.planId))?.body;
  const [table] = body?.tables ?? [];
  const item = (await loader.ports.items.take(old, 1)) as WorkItem;
  const planned = body?.tables.find((candidate) => candidate.table === item.table) ?? table;
  if (!planned) throw new Error("nothing was planned");
  const staging = { plan: planned, index: body?.tables.indexOf(planned) ?? 0 };
  const written = loader.ports.slices.stage({ run: old, worker: 1, item, staging }, async (writer) => {
    await writer.write(Buffer.from(`${item.itemId}\t1\t\\N${"\t\\N".repeat(planned.columns.length)}\n`));
    await expireLease(flow, batch);
    await plan(batch, "successor");
    return {
      position: { offset: 1, records: 1, state: {} },
      ...{ records: 1, nulled: 0, bytes: 1, fingerprint: 1n, rejects: [], rejected: 0, done: true },
    };
  });
  await expect(written).rejects.toMatchObject({ name: "StaleFence" });
  for (const late of [
    () => loader.ports.items.take(old, 1),
    () => loader.ports.items.fail(old, item, { code: "X", message: "late" }),
    () => loader.ports.claims.renew(old),
    () => loader.ports.attempts.fail(old, { code: "X", message: "late" }),
    () => loader.ports.attempts.archived(old),
  ]) {
    await expect(late()).rejects.toMatchObject({ name: "StaleFence" });
  }
  await loader.close();
  await expect(call("commit-batch", old)).rejects.toMatchObject({ name: "BlockedError" });
  await expect(call("close-batch", old)).rejects.toMatchObject({ name: "StaleFence" });
  await takeOver(flow, batch);
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await attemptsOf(flow, batch)).toEqual(["abandoned", "abandoned", "loaded"]);
  await expectInvariants(flow);
});

test("a zombie that judged its batch, and has an answer in the ledger for that, is told to stop when it closes", async () => {
  const batch = await stageSample(flow);
  const old = await plan(batch, "judged");
  const loader = await openLoader();
  await loader.ports.attempts.keepRejects(old, { tables: [], rejects: [], rejected: 0 });
  await loader.close();
  await expireLease(flow, batch);
  await plan(batch, "after it");
  await expect(call("close-batch", old)).rejects.toMatchObject({ name: "StaleFence" });
  await takeOver(flow, batch);
  expect(await batch.probe()).toEqual(sampleLoaded);
});

test("a slice delivered twice counts once", async () => {
  const batch = await stageSample(flow);
  const run = await plan(batch, "one");
  await stage(run);
  const before = await flow.sql`select slices, records from table_loader.work_items where plan_id = ${run.planId}`;
  expect(await stage(run)).toMatchObject({ next: "done" });
  expect(await flow.sql`select slices, records from table_loader.work_items where plan_id = ${run.planId}`).toEqual(
    before,
  );
  const loader = await openLoader();
  const [item] = await loader.ports.items.list(run.planId);
  const progress = { position: { offset: 9, records: 3, state: {} }, bytes: 9, nulled: 0, fingerprint: 1n };
  const again = loader.ports.slices.stage(
    { run, worker: 1, item: { ...(item as WorkItem), slices: 0 }, staging: null },
    async () => ({ ...progress, records: 3, rejects: [], rejected: 0, done: true }),
  );
  await expect(again).rejects.toMatchObject({ name: "TransientError", code: "ITEM_TAKEN" });
  await loader.close();
  await call("commit-batch", run);
  await finish(run);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

async function spoilStaging(sql: (table: string) => string): Promise<void> {
  const tables = await flow.sql<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'table_loader_staging'`;
  for (const { name } of tables) await flow.sql.unsafe(sql(name));
}

/** A crash of the server takes back the latest checkpoints, too: they do not wait for the disk. */
const forgetAll = (table: string): string => `
  truncate ${table};
  update table_loader.work_items
  set state = 'pending', position = null, slices = 0, records = 0, rejected = 0, nulled = 0, bytes = 0, fingerprint = 0
  where kind = 'fragment'`;

test.each([
  { how: "emptied", sql: (table: string) => `truncate ${table}` },
  { how: "half emptied", sql: (table: string) => `delete from ${table} where _tl_record = 1` },
  { how: "emptied, and its checkpoints are taken back,", sql: forgetAll },
])("staging is $how before the commit: staged again, loaded once", async ({ sql }) => {
  const batch = await stageSample(flow);
  let spoilt = false;
  onCrashPoint(async (point) => {
    if (point !== "before-commit" || spoilt) return;
    spoilt = true;
    await spoilStaging(sql);
  });
  const { states, output } = await flow.run({ batchId: batch.id });
  expect(states.filter((state) => state === "CommitBatch")).toHaveLength(2);
  expect(output).toMatchObject({ status: "success", records_read: 6, records_loaded: 6 });
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("checkpoints are taken back in the last moment: nothing is compared and nothing previewed", async () => {
  const batch = await stageSample(flow);
  const run = await plan(batch, "forgotten");
  await stage(run);
  await spoilStaging(forgetAll);
  const loader = await openLoader();
  const planned = await loader.ports.plans.read(run.planId);
  if (!planned) throw new Error("nothing was planned");
  const unfinished = { name: "TransientError", code: "STAGE_UNFINISHED" };
  await expect(loader.ports.commits.compare(run)).rejects.toMatchObject(unfinished);
  await expect(loader.ports.commits.preview(run, planned, 60)).rejects.toMatchObject(unfinished);
  await stage(run);
  await spoilStaging((table) => `truncate ${table}`);
  await expect(loader.ports.commits.preview(run, planned, 60)).rejects.toMatchObject(unfinished);
  const older = { ...planned, body: { ...planned.body, catalogHash: "of other tables" } };
  const changed = { name: "BlockedError", code: "DB_SCHEMA_CHANGED" };
  await expect(loader.ports.commits.preview(run, older, 60)).rejects.toMatchObject(changed);
  await loader.close();
  expect(await call("commit-batch", run)).toEqual({ next: "restage" });
  await stage(run);
  await call("commit-batch", run);
  await finish(run);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("a catalog that changed while nobody held the batch: the successor discards the staging and plans again", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "before-commit");
  await flow.sql`alter table blood add column takeover_note text`;
  const swept = await takeOver(flow, batch);
  expect(swept.runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success", attempt: 1 } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("LOAD_NO_PROGRESS: three takeovers in a row without a checkpoint are the batch's fault", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "mid-copy");
  for (let takeover = 1; takeover <= 2; takeover += 1) {
    await expireLease(flow, batch);
    await crashAt(flow, batch, "mid-copy", { input: { source: "sweep" } });
  }
  const swept = await takeOver(flow, batch);
  expect(swept.runs).toMatchObject([{ status: "FAILED", error: "LOAD_NO_PROGRESS" }]);
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(await queueOf(flow, batch)).toEqual({ subject: "load_failed", blood: "load_failed" });
  expect(flow.objects(`failed/${batch.id}/`)).toContain(`failed/${batch.id}/error_log.json`);
  await expectInvariants(flow);
});

test("takeovers of a load that its environment keeps from moving are never the batch's fault", async () => {
  const batch = await stageSample(flow);
  const block = () => flow.sql`
    update table_loader.batches set reason_code = 'DB_PERMISSION', reason = 'denied' where batch_id = ${batch.id}`;
  await crashAt(flow, batch, "mid-copy");
  for (let takeover = 1; takeover <= 3; takeover += 1) {
    await block();
    await expireLease(flow, batch);
    await crashAt(flow, batch, "mid-copy", { input: { source: "sweep" } });
  }
  await block();
  expect((await takeOver(flow, batch)).runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("a checkpoint is progress, also where the same execution claims the batch again before it dies", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "mid-copy");
  const loader = await openLoader();
  const claim = (owner: string) => loader.ports.claims.claim({ batchId: batch.id, owner, source: "sweep" });
  for (const owner of ["second", "third", "fourth"]) {
    await expireLease(flow, batch);
    const planId = (await claim(owner))?.planId ?? 0;
    await flow.sql`update table_loader.work_items set slices = slices + 1 where plan_id = ${planId}`;
    expect(await claim(owner)).toMatchObject({ idleTakeovers: 0 });
  }
  await expireLease(flow, batch);
  expect(await claim("fifth")).toMatchObject({ idleTakeovers: 1 });
  await loader.close();
  await takeOver(flow, batch);
  expect(await batch.probe()).toEqual(sampleLoaded);
});

test("a checkpoint between two deaths is progress: the load goes on", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "mid-copy");
  await expireLease(flow, batch);
  await crashAt(flow, batch, "mid-copy", { input: { source: "sweep" } });
  await expireLease(flow, batch);
  await crashAt(flow, batch, "mid-copy", { input: { source: "sweep" }, time: 2 });
  await expireLease(flow, batch);
  await crashAt(flow, batch, "before-commit", { input: { source: "sweep" } });
  const swept = await takeOver(flow, batch);
  expect(swept.runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("CommitBatch twice, as after an unknown commit: committed, once", async () => {
  const batch = await stageSample(flow);
  const run = await plan(batch, "one");
  await stage(run);
  expect(await call("commit-batch", run)).toEqual({ next: "committed" });
  expect(await call("commit-batch", run)).toEqual({ next: "committed" });
  await finish(run);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("CommitBatch twice over rejects: the error log still names those of staging and of the judge", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
  await batch.drop("subject.json", subjects(batch.prefix, 1));
  const [blood] = bloods(batch.prefix, 1);
  const orphan = { ...blood, sample_id: `${batch.prefix}-B8`, global_subject_id: `${batch.prefix}-8` };
  await batch.drop("blood.json", [blood, { ...blood, sample_id: `${batch.prefix}-B9`, volume_ml: "12,5" }, orphan]);
  const run = await plan(batch, "one");
  await stage(run);
  await expect(call("commit-batch", run)).rejects.toMatchObject({ name: "PermanentError" });
  await expect(call("commit-batch", run)).rejects.toMatchObject({ name: "PermanentError" });
  await fail(run, "RECORDS_REJECTED: 2 records");
  await fail(run, "RECORDS_REJECTED: 2 records");
  await finish(run);
  const log = (await flow.json(`failed/${batch.id}/error_log.json`)) as { rejected_records: { code: string }[] };
  expect(log.rejected_records.map(({ code }) => code).sort()).toEqual(["CONSTRAINT_FK", "VALUE_TYPE"]);
  const audited = await flow.sql`
    select table_name, records_failed::integer as failed from load_audit_log where batch_id = ${batch.id} order by 1`;
  expect([...audited]).toEqual([
    { table_name: "blood", failed: 2 },
    { table_name: "subject", failed: 0 },
  ]);
  await expectInvariants(flow);
});

test("FailBatch after the commit: the batch is archived as loaded", async () => {
  const batch = await stageSample(flow);
  const run = await plan(batch, "one");
  await stage(run);
  await call("commit-batch", run);
  expect(await fail(run, "DB_VALUE: too late")).toEqual({ next: "archive" });
  expect(await finish(run)).toMatchObject({ next: "closed", result: { status: "success", code: "" } });
  expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  await expectInvariants(flow);
});

test("CloseBatch twice answers the same", async () => {
  const batch = await stageSample(flow);
  const run = await plan(batch, "one");
  await stage(run);
  await call("commit-batch", run);
  await call("archive-fragments", run);
  const first = await call("close-batch", run);
  expect(first).toMatchObject({ next: "closed", result: { status: "success", records_loaded: 6 } });
  expect(await call("close-batch", run)).toEqual(first);
  expect(await attemptsOf(flow, batch)).toEqual(["loaded"]);
  await expectInvariants(flow);
});

test("nothing leaves staging before the commit, whatever calls ArchiveFragments", async () => {
  const batch = await stageSample(flow);
  const run = await plan(batch, "one");
  await expect(call("archive-fragments", run)).rejects.toMatchObject({ name: "BlockedError" });
  expect(flow.objects(`loaded/${batch.id}/`)).toEqual([]);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loading", reason_code: "LOADER_BUG" });
  await takeOver(flow, batch);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("a sweep's execution that finds the batch busy does not use up its name: the next sweep starts another", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "mid-copy");
  await expireLease(flow, batch);
  // whoever holds it comes back just before the sweep's execution looks
  onCrashPoint(async (point) => {
    if (point !== "before-claim") return;
    await flow.sql`update table_loader.batches set lease_until = now() + interval '1 minute' where batch_id = ${batch.id}`;
  });
  expect((await sweepOnce(flow)).runs).toMatchObject([{ status: "SUCCEEDED", output: { code: "BATCH_BUSY" } }]);
  onCrashPoint(() => undefined);
  expect((await takeOver(flow, batch)).runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});
