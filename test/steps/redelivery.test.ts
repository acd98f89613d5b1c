import { afterAll, beforeAll, expect, test } from "vitest";
import { migrate } from "../../lib/ledger/migrate.ts";
import {
  attemptsOf,
  ledgerOf,
  newBatch,
  outcomesOf,
  queueOf,
  removeObject,
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

/** A batch that is loaded, with its first archive. */
async function loadSample(): Promise<TestBatch> {
  const batch = await stageSample(flow);
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  await flow.arrivals();
  await flow.sql`delete from table_loader.outcomes where batch_id = ${batch.id}`;
  return batch;
}

async function versionsOf({ id }: TestBatch): Promise<Record<string, string>[]> {
  const rows = await flow.sql<Record<string, string>[]>`
    select regexp_replace(key, '^.*/', '') as key, state, archived_key
    from table_loader.object_versions where batch_id = ${id} order by key, state`;
  return [...rows];
}

test("T06 started by hand after it was loaded: skipped, and points to status and report", async () => {
  const batch = await loadSample();
  const { status, output } = await flow.run({ batchId: batch.id });
  expect({ status, output }).toMatchObject({
    status: "SUCCEEDED",
    output: { next: "already_processed", code: "BATCH_ALREADY_LOADED" },
  });
  expect((output as { message: string }).message).toContain(`status ${batch.id}`);
  expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({
    output: { code: "BATCH_ALREADY_LOADED" },
  });
  expect(await attemptsOf(flow, batch)).toEqual(["loaded"]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("T07 changed content dropped again: recorded once per version, the load and its archive stay", async () => {
  const batch = await loadSample();
  const archive = flow.objects(`loaded/${batch.id}/`);
  const stored = await flow.json(`loaded/${batch.id}/blood.json`);
  await batch.drop("blood.json", bloods(batch.prefix, 4, { volume_ml: 99 }));
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "FAILED", error: "BATCH_CONTENT_CHANGED" }]);
  expect(runs[0]?.cause).toContain("blood.json");
  expect(await attemptsOf(flow, batch)).toEqual(["loaded", "compared"]);
  expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });

  // the same version again: nothing more
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  const again = await flow.run({ batchId: batch.id, source: "arrival" });
  expect(again).toMatchObject({ status: "SUCCEEDED", output: { code: "EVT_DUPLICATE" } });
  expect(await attemptsOf(flow, batch)).toEqual(["loaded", "compared"]);

  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(flow.objects(batch.key(""))).toEqual([batch.key("blood.json")]);
  expect(flow.objects(`loaded/${batch.id}/`)).toEqual(
    [...archive, `loaded/${batch.id}/load_result.attempt-2.json`].sort(),
  );
  expect(await flow.json(`loaded/${batch.id}/blood.json`)).toEqual(stored);

  // another version of it is another finding
  await batch.drop("blood.json", bloods(batch.prefix, 5));
  expect((await flow.arrivals()).runs).toMatchObject([{ error: "BATCH_CONTENT_CHANGED" }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
  await removeObject(flow, batch.key("blood.json"));
});

test("T08 dropped again byte for byte: kept as a duplicate, the first archive keeps its place in the ledger", async () => {
  const batch = await loadSample();
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "already_processed", records_read: 3 } }]);
  expect(flow.objects(batch.key(""))).toEqual([]);
  const duplicates = flow.objects(`loaded/${batch.id}/duplicates/`);
  expect(duplicates).toHaveLength(1);
  expect(duplicates[0]).toMatch(/\/duplicates\/[^/]+\/blood\.json$/);
  expect(await versionsOf(batch)).toEqual([
    { key: "blood.json", state: "loaded", archived_key: `loaded/${batch.id}/blood.json` },
    { key: "subject.json", state: "loaded", archived_key: `loaded/${batch.id}/subject.json` },
  ]);
  // and once more, over the duplicate that is there
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  expect((await flow.arrivals()).runs).toMatchObject([{ status: "SUCCEEDED" }]);
  expect(flow.objects(batch.key(""))).toEqual([]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("T08 dropped again in another spelling after an upgrade from a ledger without versions of fingerprints", async () => {
  const batch = await loadSample();
  // as the code before that migration left it
  await flow.sql.unsafe(`
    alter table table_loader.object_versions drop column fingerprint_version;
    alter table table_loader.batch_tables drop column fingerprint_version;
    delete from table_loader.migrations where version = 9`);
  expect(await migrate(flow.sql)).toEqual(["009.do.fingerprint-versions.sql"]);
  const spaced = JSON.stringify(bloods(batch.prefix, 3), null, 2);
  await batch.drop("blood.json", spaced);
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "already_processed", records_read: 3 } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("T08 dropped again byte for byte after a column was added: still the same", async () => {
  const batch = await loadSample();
  await flow.sql`alter table blood add column note text`;
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  const { runs } = await flow.arrivals();
  await flow.sql`alter table blood drop column note`;
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "already_processed" } }]);
  expect(flow.objects(batch.key(""))).toEqual([]);
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  await expectInvariants(flow);
});

test("T08 dropped again byte for byte among parts that changed: only those are left", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  const parts = [subjects(batch.prefix, 2), subjects(batch.prefix, 4).slice(2)];
  for (const [index, part] of parts.entries()) await batch.drop(`subject/part-${index}.json`, part);
  await batch.drop("subject/_SUCCESS", "");
  await flow.run({ batchId: batch.id });
  await flow.arrivals();
  await flow.sql`alter table subject add column note text`;
  await batch.drop("subject/part-0.json", parts[0]);
  await batch.drop("subject/part-1.json", subjects(batch.prefix, 5).slice(2));
  const { runs } = await flow.arrivals();
  await flow.sql`alter table subject drop column note`;
  expect(runs).toMatchObject([{ error: "BATCH_CONTENT_CHANGED" }]);
  expect(flow.objects(batch.key(""))).toEqual([batch.key("subject/part-1.json")]);
  await expectInvariants(flow);
  await removeObject(flow, batch.key("subject/part-1.json"));
});

test("a redelivery that cannot be compared is tried once, until it is delivered anew", async () => {
  const batch = await loadSample();
  await flow.sql`alter table blood rename to blood_away`;
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  const { runs } = await flow.arrivals();
  const swept = await sweepOnce(flow);
  await flow.sql`alter table blood_away rename to blood`;
  expect(runs).toMatchObject([{ status: "FAILED" }]);
  expect(swept).toMatchObject({ started: [] });
  expect(await attemptsOf(flow, batch)).toEqual(["loaded", "compared"]);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });

  // S3 counts seconds
  await flow.sql`
    update table_loader.object_versions set redelivered = redelivered - interval '2 seconds'
    where batch_id = ${batch.id}`;
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  expect((await flow.arrivals()).runs).toMatchObject([{ output: { status: "already_processed" } }]);
  expect(flow.objects(batch.key(""))).toEqual([]);
  await expectInvariants(flow);
});

test("T08 the same records in other order, spelling and parts are the same content", async () => {
  const batch = await loadSample();
  const respelt = bloods(batch.prefix, 3)
    .reverse()
    .map((blood) => Object.entries(blood).map(([name, value]) => [name, String(value)]))
    .map((fields) => Object.fromEntries(fields.reverse()));
  await batch.drop("blood/part-1.json", { records: respelt.slice(0, 1) });
  await batch.drop(
    "blood/part-2.json",
    respelt
      .slice(1)
      .map((record) => JSON.stringify(record))
      .join("\n"),
  );
  await batch.drop("blood/_SUCCESS", "");
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "already_processed" } }]);
  expect(flow.objects(batch.key(""))).toEqual([]);
  expect(flow.objects(`loaded/${batch.id}/duplicates/`)).toHaveLength(3);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("a comparison that dies is done again, and says the same", async () => {
  const batch = await loadSample();
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  await batch.drop("subject.json", subjects(batch.prefix, 4));
  await crashAt(flow, batch, "after-archive-copy", { input: { source: "arrival" } });
  const swept = await takeOver(flow, batch);
  expect(swept.runs).toMatchObject([{ status: "FAILED", error: "BATCH_CONTENT_CHANGED" }]);
  expect(swept.runs[0]?.cause).toContain("subject.json");
  expect(flow.objects(batch.key(""))).toEqual([batch.key("subject.json")]);
  expect(flow.objects(`loaded/${batch.id}/duplicates/`)).toHaveLength(1);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
  await removeObject(flow, batch.key("subject.json"));
});

test("a comparison whose fragment cannot be read yet says nothing about its content", async () => {
  const batch = await loadSample();
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  await crashAt(flow, batch, "mid-copy", { input: { source: "arrival" } });
  const [plan] = await flow.sql<{ plan_id: number; fence: number }[]>`
    select plan_id::integer, fence::integer from table_loader.batches where batch_id = ${batch.id}`;
  const run = { batchId: batch.id, kind: "compare", planId: plan?.plan_id, fence: plan?.fence };
  const request = { run: { ...run, epoch: 1, attempt: 2, runId: "x", workers: [1] }, execution: "x" };
  await expect(flow.invoke("commit-batch", request)).rejects.toMatchObject({ name: "BlockedError" });
  expect((await takeOver(flow, batch)).runs).toMatchObject([{ status: "SUCCEEDED" }]);
  expect(flow.objects(batch.key(""))).toEqual([]);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a table that the queue names only after the load is loaded in the same epoch, as the next attempt", async () => {
  const batch = await loadSample();
  await flow.queueRow({ batchId: batch.id, table: "specimen", approved: true });
  expect(await flow.run({ batchId: batch.id, source: "arrival" })).toMatchObject({
    status: "SUCCEEDED",
    output: { next: "wait", code: "TABLE_MISSING" },
  });
  await batch.drop("specimen.json", specimens(batch.prefix, 2));
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success", epoch: 1, attempt: 2 } }]);
  expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded", specimen: "loaded" });
  expect(await outcomesOf(flow, batch)).toMatchObject([{ code: "TABLE_MISSING", times: 1 }]);
  expect(flow.objects(`loaded/${batch.id}/`)).toContain(`loaded/${batch.id}/load_result.attempt-2.json`);
  await expectInvariants(flow);
});

test("the same content under another batch id is loaded, and duplicate_of says where it was seen", async () => {
  const first = await loadSample();
  const second = await stageSample(flow);
  await second.drop("subject.json", subjects(first.prefix, 3));
  await second.drop("blood.json", bloods(first.prefix, 3));
  const { output } = await flow.run({ batchId: second.id });
  expect(output).toMatchObject({ status: "success", records_loaded: 0, duplicate_of: [first.id] });
  expect(await first.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
});
