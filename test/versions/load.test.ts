import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ledgerOf,
  newBatch,
  nothingLoaded,
  outcomesOf,
  queueOf,
  sampleLoaded,
  stageSample,
} from "../support/batches.ts";
import { bloods, subject, subjects } from "../support/records.ts";
import { openVersionedFlow, type VersionedFlow, watchS3 } from "./support.ts";

let flow: VersionedFlow;
beforeAll(async () => {
  flow = await openVersionedFlow();
});
afterAll(() => flow.close());

test("a batch loads, its copies are verified, and exactly the versions that were read are deleted", async () => {
  const batch = await stageSample(flow);
  const subjectText = await flow.bucket.text(batch.key("subject.json"));
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success", total_records: 6 } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await flow.bucket.versions(batch.key(""))).toEqual([]);
  const archived = `loaded/${batch.id}/`;
  expect(await flow.current(archived)).toEqual([
    `${archived}blood.json`,
    `${archived}load_result.json`,
    `${archived}subject.json`,
  ]);
  expect((await flow.bucket.versions(archived)).every(({ isMarker }) => !isMarker)).toBe(true);
  expect(await flow.bucket.text(`${archived}subject.json`)).toBe(subjectText);
  expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
});

test("of a fragment put three times the newest is loaded, the older ones are superseded and deleted first", async () => {
  const batch = newBatch(flow);
  const key = batch.key("subject.json");
  const versions: string[] = [];
  for (const family_id of ["one", "two", "three"]) {
    versions.push(await flow.upload(key, [{ ...subject(`${batch.prefix}-1`), family_id }]));
  }
  expect((await flow.arrivals()).runs.at(-1)).toMatchObject({ output: { next: "wait", code: "NOT_QUEUED" } });
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  const { deleted } = await watchS3(() => flow.run({ batchId: batch.id }));
  expect(deleted).toEqual(versions.map((version) => `${key} ${version}`));
  const rows = await flow.sql`select family_id from subject where global_subject_id = ${`${batch.prefix}-1`}`;
  expect([...rows]).toEqual([{ family_id: "three" }]);
  expect(await flow.bucket.versions(batch.key(""))).toEqual([]);
  expect(await flow.bucket.versions(`loaded/${batch.id}/subject.json`)).toHaveLength(1);
  expect(await statesOf(batch.id)).toEqual(["superseded", "superseded", "loaded"]);
});

async function statesOf(batchId: string): Promise<string[]> {
  const rows = await flow.sql<{ state: string }[]>`
    select state from table_loader.object_versions where batch_id = ${batchId} order by first_seen, last_modified`;
  return rows.map(({ state }) => state);
}

test("parts with odd names load, and the marker moves last", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  const parts = ["part +1.json", "part 2 é.json", "検体 & 100%.ndjson"];
  for (const [index, part] of parts.entries()) {
    await flow.upload(batch.key(`subject/${part}`), JSON.stringify([subject(`${batch.prefix}-${index}`)]));
  }
  expect((await flow.arrivals()).runs).toMatchObject([{ output: { next: "wait", code: "TABLE_INCOMPLETE" } }]);
  await flow.upload(batch.key("subject/_SUCCESS"), "");
  const { deleted, answer } = await watchS3(() => flow.arrivals());
  expect(answer.runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success", total_records: 3 } }]);
  expect(deleted).toHaveLength(4);
  expect(deleted.at(-1)).toContain("_SUCCESS");
  expect(await flow.bucket.versions(batch.key(""))).toEqual([]);
  const archived = await flow.current(`loaded/${batch.id}/subject/`);
  expect(archived.toSorted()).toEqual(
    [...parts, "_SUCCESS"].map((part) => `loaded/${batch.id}/subject/${part}`).toSorted(),
  );
  expect((await batch.probe()).subjects).toBe(3);
});

test("E02: ten events for one version load it once", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await flow.upload(batch.key("subject.json"), subjects(batch.prefix, 3));
  const [event] = flow.bucket.events.slice(-1);
  const records = Array.from({ length: 9 }, (_, index) => ({
    messageId: `again-${index}`,
    body: JSON.stringify({ ...event, id: `again-${index}` }),
  }));
  const singly = records.map((record) => flow.invoke("start-load", { Records: [record] }));
  const { runs } = await flow.arrivals();
  await Promise.all(singly);
  await Promise.all(flow.machine.list().map(({ arn }) => flow.machine.settle(arn)));
  expect((await batch.probe()).subjects).toBe(3);
  const versions = await flow.sql`select state from table_loader.object_versions where batch_id = ${batch.id}`;
  expect([...versions]).toEqual([{ state: "loaded" }]);
  expect(runs.every(({ status }) => status === "SUCCEEDED")).toBe(true);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded", attempt: 1 });
});

test("a preview leaves no trace but its report", async () => {
  const batch = newBatch(flow);
  await flow.upload(batch.key("subject.json"), subjects(batch.prefix, 3, { family_id: "old" }));
  const newest = await flow.upload(batch.key("subject.json"), subjects(batch.prefix, 3, { family_id: "new" }));
  await flow.upload(batch.key("blood.json"), bloods(batch.prefix, 3));
  const before = await flow.bucket.versions("");
  const { status, output } = await flow.run({ batchId: batch.id, dryRun: true });
  expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { status: "preview", total_records: 6 } });
  const { report_key: reportKey } = output as { report_key: string };
  const after = (await flow.bucket.versions("")).filter(({ key }) => key !== reportKey);
  expect(after).toEqual(before);
  expect(after.find(({ versionId }) => versionId === newest)).toMatchObject({ isLatest: true });
  expect(await flow.json(reportKey)).toMatchObject({ tables: { subject: { sample_record: { family_id: "new" } } } });
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(await ledgerOf(flow, batch)).toBeUndefined();
  expect(await outcomesOf(flow, batch)).toEqual([]);
  const [left] = await flow.sql`
    select (select count(*) from table_loader.plans where batch_id = ${batch.id})::integer as plans,
           (select count(*) from table_loader.object_versions where batch_id = ${batch.id})::integer as versions`;
  expect(left).toEqual({ plans: 0, versions: 0 });
  await flow.arrivals();
});

test("a key hidden below a delete marker is not part of the batch, and its versions stay", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await flow.upload(batch.key("subject/part-1.json"), subjects(batch.prefix, 2));
  const hidden = await flow.upload(batch.key("subject/part-2.json"), subjects(`${batch.prefix}-hidden`, 2));
  await flow.bucket.delete(batch.key("subject/part-2.json"));
  await flow.upload(batch.key("subject/_SUCCESS"), "");
  const { runs } = await flow.arrivals();
  expect(runs.at(-1)).toMatchObject({ status: "SUCCEEDED", output: { batch_id: batch.id, total_records: 2 } });
  expect((await batch.probe()).subjects).toBe(2);
  const left = await flow.bucket.versions(batch.key(""));
  expect(left.map(({ versionId, isMarker }) => isMarker || versionId === hidden)).toEqual([true, true]);
});
