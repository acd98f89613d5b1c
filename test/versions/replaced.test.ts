import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { CrashPoint } from "../../lib/core/ports.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import { ledgerOf, newBatch, nothingLoaded, outcomesOf, queueOf, type TestBatch } from "../support/batches.ts";
import { subject, subjects } from "../support/records.ts";
import { slicing } from "./slices.ts";
import { openVersionedFlow, type VersionedFlow } from "./support.ts";

/** Objects that change while somebody else looks at them. */

let flow: VersionedFlow;
beforeAll(async () => {
  flow = await openVersionedFlow();
});
afterAll(() => flow.close());
afterEach(() => onCrashPoint(() => undefined));

/** Runs the work once, when a load comes to the point. */
function when(point: CrashPoint, work: () => Promise<unknown>): void {
  let pending = true;
  onCrashPoint(async (at) => {
    if (at !== point || !pending) return;
    pending = false;
    await work();
  });
}

const one = ({ prefix }: TestBatch, family_id: string): object[] => [{ ...subject(`${prefix}-1`), family_id }];

async function familyOf({ prefix }: TestBatch): Promise<string | undefined> {
  const rows = await flow.sql<{ family_id: string }[]>`
    select family_id from subject where global_subject_id = ${`${prefix}-1`}`;
  return rows[0]?.family_id;
}

async function staged(batch: TestBatch): Promise<string[]> {
  return (await flow.bucket.versions(batch.key(""))).map(({ versionId }) => versionId);
}

/** A batch of one fragment, approved before it came. */
async function stageOne(): Promise<{ batch: TestBatch; key: string; first: string }> {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  const key = batch.key("subject.json");
  return { batch, key, first: await flow.upload(key, one(batch, "first")) };
}

const arrivesAt: CrashPoint[] = ["after-plan", "after-copy", "before-commit", "after-commit", "before-archive-copy"];

test.each(arrivesAt)("S06: a version that arrives at %s is neither loaded nor deleted", async (point) => {
  const { batch, key } = await stageOne();
  let second = "";
  when(point, async () => {
    second = await flow.upload(key, one(batch, "second"));
  });
  const { status } = await flow.run({ batchId: batch.id });
  expect(status).toBe("SUCCEEDED");
  expect(await familyOf(batch)).toBe("first");
  expect(await flow.bucket.text(`loaded/${batch.id}/subject.json`)).toBe(JSON.stringify(one(batch, "first")));
  expect(await staged(batch)).toEqual([second]);

  const { runs } = await flow.arrivals();
  expect(runs.at(-1)).toMatchObject({ status: "FAILED", error: "BATCH_CONTENT_CHANGED" });
  expect(await familyOf(batch)).toBe("first");
  expect(await staged(batch)).toEqual([second]);
  expect(await queueOf(flow, batch)).toEqual({ subject: "loaded" });
});

test("S06: a version that arrives between two slices of a fragment: the planned one is loaded to its end", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  const key = batch.key("subject.json");
  const records = (family_id: string) => subjects(batch.prefix, 3, { family_id });
  await flow.upload(key, records("first"));
  let second = "";
  const run = async () => {
    const { status, output } = await flow.run({ batchId: batch.id, batchSize: 1 });
    expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { records_loaded: 3 } });
  };
  const replace = async () => {
    second = await flow.upload(key, records("other"));
  };
  expect(await slicing(run, replace)).toBeGreaterThanOrEqual(3);
  const rows = await flow.sql`
    select distinct family_id from subject where global_subject_id like ${`${batch.prefix}-%`}`;
  expect([...rows]).toEqual([{ family_id: "first" }]);
  expect(await staged(batch)).toEqual([second]);
  await flow.arrivals();
});

test("an arrival that finds the load busy is looked at by the same execution, at its end", async () => {
  const { batch, key } = await stageOne();
  let duplicate = "";
  when("before-archive-copy", async () => {
    duplicate = await flow.upload(key, one(batch, "first"));
    const { runs } = await flow.arrivals();
    expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { next: "busy", code: "BATCH_BUSY" } }]);
  });
  const { status, output } = await flow.run({ batchId: batch.id });
  expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { status: "already_processed" } });
  expect(await staged(batch)).toEqual([]);
  expect(await flow.current(`loaded/${batch.id}/duplicates/`)).toEqual([
    `loaded/${batch.id}/duplicates/${duplicate}/subject.json`,
  ]);
});

describe("S07", () => {
  test("a fragment hidden by a delete marker after it was planned is loaded all the same", async () => {
    const { batch, key } = await stageOne();
    when("after-plan", () => flow.bucket.delete(key));
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
    expect(await familyOf(batch)).toBe("first");
    expect(await flow.bucket.text(`loaded/${batch.id}/subject.json`)).toBe(JSON.stringify(one(batch, "first")));
    expect(await flow.bucket.versions(key)).toMatchObject([{ isMarker: true }]);
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ output: { code: "BATCH_ALREADY_LOADED" } });
    await flow.arrivals();
  });

  test("a version that is gone before it was read fails the batch, and names key and version", async () => {
    const { batch, key, first } = await stageOne();
    await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
    await flow.upload(batch.key("blood.json"), []);
    when("after-plan", () => flow.bucket.delete(key, first));
    const { status, error, cause } = await flow.run({ batchId: batch.id });
    expect({ status, error }).toEqual({ status: "FAILED", error: "S3_MISSING" });
    expect(cause).toContain(`${key} version ${first}`);
    expect(await batch.probe()).toEqual(nothingLoaded);
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "failed", reason_code: null });
    expect(await flow.current(`failed/${batch.id}/`)).toEqual(
      ["blood.json", "error_log.json", "load_result.json"].map((name) => `failed/${batch.id}/${name}`),
    );
    expect(JSON.stringify(await flow.json(`failed/${batch.id}/error_log.json`))).toContain("S3_MISSING");

    await flow.upload(key, one(batch, "again"));
    await flow.arrivals();
    await flow.approve(batch.id);
    expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({ status: "SUCCEEDED" });
    expect(await familyOf(batch)).toBe("again");
    expect(await staged(batch)).toEqual([]);
  });

  test("a version that is gone after the commit keeps its rows, and waits for its copy", async () => {
    const { batch, key, first } = await stageOne();
    const text = (await flow.bucket.text(key)) ?? "";
    when("before-archive-copy", async () => {
      await flow.bucket.delete(key, first);
      when("before-archive-copy", () => flow.bucket.putVersion(`loaded/${batch.id}/subject.json`, text));
    });
    const { status, states } = await flow.run({ batchId: batch.id });
    expect(status).toBe("SUCCEEDED");
    expect(states).toContain("BlockedWait");
    expect(await familyOf(batch)).toBe("first");
    await flow.arrivals();
  });
});

describe("A8", () => {
  test("an approval covers the first version that arrives after it, of each fragment", async () => {
    const { batch } = await stageOne();
    expect((await flow.arrivals()).runs).toMatchObject([{ status: "SUCCEEDED" }]);
    expect(await familyOf(batch)).toBe("first");
  });

  test("a fragment replaced after the approval waits for a new one, and then its newest version loads", async () => {
    const batch = newBatch(flow);
    const key = batch.key("subject.json");
    const first = await flow.upload(key, one(batch, "first"));
    await flow.queueRow({ batchId: batch.id, table: "subject" });
    expect((await flow.arrivals()).runs).toMatchObject([{ output: { next: "wait", code: "NOT_APPROVED" } }]);
    await flow.approve(batch.id);
    const second = await flow.upload(key, one(batch, "second"));
    expect((await flow.arrivals()).runs).toMatchObject([{ output: { next: "wait", code: "APPROVAL_OUTDATED" } }]);
    expect(await staged(batch)).toEqual([first, second]);
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED", error: "APPROVAL_OUTDATED" });
    expect(await familyOf(batch)).toBeUndefined();

    await flow.approve(batch.id);
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
    expect(await familyOf(batch)).toBe("second");
    expect(await staged(batch)).toEqual([]);
  });

  test("deleting the version that superseded another does not bring that one back", async () => {
    const batch = newBatch(flow);
    const key = batch.key("subject.json");
    const first = await flow.upload(key, one(batch, "first"));
    const second = await flow.upload(key, one(batch, "second"));
    await flow.queueRow({ batchId: batch.id, table: "subject" });
    await flow.arrivals();
    await flow.approve(batch.id);
    await flow.bucket.delete(key, second);
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED", error: "TABLE_MISSING" });
    expect(await staged(batch)).toEqual([first]);
    expect(await outcomesOf(flow, batch)).toContainEqual({ code: "TABLE_MISSING", source: "manual", times: 1 });

    await flow.upload(key, one(batch, "third"));
    await flow.arrivals();
    await flow.approve(batch.id);
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
    expect(await familyOf(batch)).toBe("third");
    expect(await staged(batch)).toEqual([]);
  });
});
