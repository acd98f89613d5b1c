import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { onCrashPoint } from "../../lib/wiring.ts";
import { newBatch, nothingLoaded, outcomesOf, queueOf, sampleLoaded, type TestBatch } from "../support/batches.ts";
import { bloods, subjects } from "../support/records.ts";
import { openVersionedFlow, type VersionedFlow } from "./support.ts";

/** Failed batches: what goes to failed/, and how it is read there again. */

let flow: VersionedFlow;
beforeAll(async () => {
  flow = await openVersionedFlow();
});
afterAll(() => flow.close());
afterEach(() => onCrashPoint(() => undefined));

const bad = (batch: TestBatch, tube_type: string) => bloods(batch.prefix, 3, { tube_type });
const below = (prefix: string, ...names: string[]): string[] => names.map((name) => `${prefix}${name}`);
const reports = ["error_log.json", "load_result.json"];

async function failOnce(): Promise<TestBatch> {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
  await flow.upload(batch.key("subject.json"), subjects(batch.prefix, 3));
  await flow.upload(batch.key("blood.json"), bad(batch, "bad one"));
  expect((await flow.arrivals()).runs).toMatchObject([{ status: "FAILED", error: "RECORDS_REJECTED" }]);
  return batch;
}

/** Puts a mended fragment, which needs an approval of its own. */
async function mend(batch: TestBatch, body: unknown): Promise<void> {
  await flow.upload(batch.key("blood.json"), body);
  expect((await flow.arrivals()).runs).toMatchObject([{ output: { next: "wait", code: "BATCH_FAILED" } }]);
  expect(await retry(batch)).toMatchObject({ status: "FAILED", error: "APPROVAL_OUTDATED" });
  await flow.approve(batch.id);
}

const retry = ({ id }: TestBatch) => flow.run({ batchId: id, action: "retry" });

test("a failed batch goes to failed/, and its mended fragment is loaded with what lies there", async () => {
  const batch = await failOnce();
  const failed = `failed/${batch.id}/`;
  expect(await flow.bucket.versions(batch.key(""))).toEqual([]);
  expect(await flow.current(failed)).toEqual(
    below(failed, "blood.json", "error_log.json", "load_result.json", "subject.json"),
  );
  expect(await batch.probe()).toEqual(nothingLoaded);

  await mend(batch, bloods(batch.prefix, 3));
  const { status, output } = await retry(batch);
  expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { status: "success", attempt: 2 } });
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await flow.bucket.versions(batch.key(""))).toEqual([]);
  expect((await flow.bucket.versions(failed)).map(({ key }) => key)).toEqual(below(failed, "blood.json", ...reports));
  expect(await flow.bucket.text(`${failed}blood.json`)).toContain("bad one");
  expect(await flow.current(`loaded/${batch.id}/`)).toEqual(
    below(`loaded/${batch.id}/`, "blood.json", "load_result.attempt-2.json", "subject.json"),
  );

  expect(await retry(batch)).toMatchObject({ output: { code: "BATCH_ALREADY_LOADED" } });
  expect(await flow.current(failed)).toContain(`${failed}blood.json`);
});

test("a second failure goes to attempt-2/, and a third try reads it there", async () => {
  const batch = await failOnce();
  await mend(batch, bad(batch, "bad two"));
  expect(await retry(batch)).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
  const [first, second] = [`failed/${batch.id}/`, `failed/${batch.id}/attempt-2/`];
  expect(await flow.current(second)).toEqual(
    below(second, "blood.json", "error_log.json", "load_result.attempt-2.json", "subject.json"),
  );
  expect((await flow.bucket.versions(first)).filter(({ key }) => !key.startsWith(second))).toMatchObject(
    below(first, "blood.json", ...reports).map((key) => ({ key })),
  );
  expect(await flow.bucket.text(`${first}blood.json`)).toContain("bad one");
  expect(await flow.bucket.text(`${second}blood.json`)).toContain("bad two");

  await mend(batch, bloods(batch.prefix, 3));
  expect(await retry(batch)).toMatchObject({ status: "SUCCEEDED", output: { status: "success", attempt: 3 } });
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect((await flow.bucket.versions(second)).map(({ key }) => key)).toEqual(
    below(second, "blood.json", "error_log.json", "load_result.attempt-2.json"),
  );

  await flow.upload(batch.key("subject.json"), subjects(batch.prefix, 3));
  expect((await flow.arrivals()).runs).toMatchObject([{ output: { status: "already_processed" } }]);
});

test("without a mended fragment, retry reads the newest of each name in failed/, in place", async () => {
  const batch = await failOnce();
  await mend(batch, bad(batch, "bad two"));
  await retry(batch);
  expect(await retry(batch)).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
  const third = `failed/${batch.id}/attempt-3/`;
  expect(await flow.current(third)).toEqual(
    below(third, "blood.json", "error_log.json", "load_result.attempt-3.json", "subject.json"),
  );
  expect(await flow.bucket.text(`${third}blood.json`)).toContain("bad two");
  expect(await flow.bucket.text(`failed/${batch.id}/blood.json`)).toContain("bad one");
});

test("retry needs nothing in staging where the data was right all along", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
  await flow.upload(batch.key("blood/part-1.json"), bloods(batch.prefix, 1));
  await flow.upload(batch.key("blood/_SUCCESS"), "");
  expect((await flow.arrivals()).runs).toMatchObject([{ status: "FAILED" }]);
  const parent = newBatch(flow);
  await flow.queueRow({ batchId: parent.id, table: "subject", approved: true });
  await flow.upload(parent.key("subject.json"), subjects(batch.prefix, 1));
  await flow.arrivals();
  expect(await retry(batch)).toMatchObject({ status: "SUCCEEDED" });
  expect(await batch.probe()).toEqual({ subjects: 1, bloods: 1, volume: 1 });
  expect(await flow.current(`failed/${batch.id}/`)).toEqual(below(`failed/${batch.id}/`, ...reports));
  const archived = `loaded/${batch.id}/blood/`;
  expect(await flow.current(archived)).toEqual(below(archived, "_SUCCESS", "part-1.json"));
});

test("a version that arrives while the batch fails stays in staging", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
  await flow.upload(batch.key("blood.json"), bad(batch, "bad one"));
  let second = "";
  onCrashPoint(async (point) => {
    if (point !== "before-archive-copy" || second !== "") return;
    second = await flow.upload(batch.key("blood.json"), bloods(batch.prefix, 3));
  });
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
  expect(await flow.bucket.versions(batch.key(""))).toMatchObject([{ versionId: second, isLatest: true }]);
  expect(await flow.bucket.text(`failed/${batch.id}/blood.json`)).toContain("bad one");
  expect(await queueOf(flow, batch)).toEqual({ blood: "load_failed" });
  await flow.arrivals();
  expect(await outcomesOf(flow, batch)).toContainEqual({ code: "BATCH_FAILED", source: "arrival", times: 1 });
});

test("I6 error_log.json names the version that each rejected record was read from", async () => {
  const batch = newBatch(flow);
  const superseded = await flow.upload(batch.key("blood.json"), bad(batch, "an older one"));
  const read = await flow.upload(batch.key("blood.json"), bad(batch, "bad one"));
  await flow.arrivals();
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
  const log = (await flow.json(`failed/${batch.id}/error_log.json`)) as {
    rejected_records: { key: string; version_id: string | null }[];
  };
  const named = { key: batch.key("blood.json"), version_id: read };
  expect(log.rejected_records).toEqual([1, 2, 3].map(() => expect.objectContaining(named)));
  expect(read).not.toBe(superseded);
  await flow.arrivals();
});
