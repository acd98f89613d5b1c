import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  attemptsOf,
  ledgerOf,
  outcomesOf,
  queueOf,
  sampleLoaded,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { bloods, subjects } from "../support/records.ts";
import { openVersionedFlow, type VersionedFlow } from "./support.ts";

/** Objects that come again for a batch that is loaded: under new version ids, whatever they hold. */

let flow: VersionedFlow;
beforeAll(async () => {
  flow = await openVersionedFlow();
});
afterAll(() => flow.close());

async function loadSample(): Promise<TestBatch> {
  const batch = await stageSample(flow);
  expect((await flow.arrivals()).runs).toMatchObject([{ status: "SUCCEEDED" }]);
  return batch;
}

const archive = (batch: TestBatch) => flow.bucket.versions(`loaded/${batch.id}/subject.json`);
const changed = (batch: TestBatch, tube_type = "ACD") => bloods(batch.prefix, 3, { tube_type });

async function staged(batch: TestBatch): Promise<string[]> {
  return (await flow.bucket.versions(batch.key(""))).map(({ versionId }) => versionId);
}

test("T06: started by hand again, nothing happens", async () => {
  const batch = await loadSample();
  const before = await flow.bucket.versions(`loaded/${batch.id}/`);
  expect(await flow.run({ batchId: batch.id })).toMatchObject({
    status: "SUCCEEDED",
    output: { next: "already_processed", code: "BATCH_ALREADY_LOADED" },
  });
  expect(await flow.bucket.versions(`loaded/${batch.id}/`)).toEqual(before);
});

describe("T08", () => {
  test("identical fragments are archived once more, each under its version", async () => {
    const batch = await loadSample();
    const [first] = await archive(batch);
    const again = await flow.upload(batch.key("subject.json"), subjects(batch.prefix, 3));
    const { runs } = await flow.arrivals();
    expect(runs).toMatchObject([
      { status: "SUCCEEDED", output: { status: "already_processed", records_unchanged: 3 } },
    ]);
    expect(await staged(batch)).toEqual([]);
    expect(await archive(batch)).toEqual([first]);
    const duplicate = `loaded/${batch.id}/duplicates/${again}/subject.json`;
    expect(await flow.current(`loaded/${batch.id}/duplicates/`)).toEqual([duplicate]);
    expect(await flow.bucket.text(duplicate)).toBe(JSON.stringify(subjects(batch.prefix, 3)));
    expect(await batch.probe()).toEqual(sampleLoaded);
  });

  test("a third and a fourth time too: the newest is kept, the older one superseded", async () => {
    const batch = await loadSample();
    const spellings = [JSON.stringify(subjects(batch.prefix, 3), null, 2), { records: subjects(batch.prefix, 3) }];
    const ids: string[] = [];
    for (const text of spellings) ids.push(await flow.upload(batch.key("subject.json"), text));
    await flow.arrivals();
    expect(await staged(batch)).toEqual([]);
    const kept = `loaded/${batch.id}/duplicates/${ids[1]}/subject.json`;
    expect(await flow.current(`loaded/${batch.id}/duplicates/`)).toEqual([kept]);
  });
});

describe("T07", () => {
  test("changed content is named once per version, and stays where it is", async () => {
    const batch = await loadSample();
    const key = batch.key("blood.json");
    const second = await flow.upload(key, changed(batch));
    const { runs } = await flow.arrivals();
    expect(runs).toMatchObject([{ status: "FAILED", error: "BATCH_CONTENT_CHANGED" }]);
    expect(runs[0]?.cause).toContain(key);
    expect(await attemptsOf(flow, batch)).toHaveLength(2);

    expect(await flow.run({ batchId: batch.id })).toMatchObject({ output: { code: "BATCH_ALREADY_LOADED" } });
    expect(await attemptsOf(flow, batch)).toHaveLength(2);
    const swept = (await flow.invoke("sweep")) as { started: string[] };
    expect(swept.started).not.toContain(batch.id);

    const third = await flow.upload(key, changed(batch, "SST"));
    expect((await flow.arrivals()).runs).toMatchObject([{ status: "FAILED", error: "BATCH_CONTENT_CHANGED" }]);
    expect(await attemptsOf(flow, batch)).toHaveLength(3);
    expect(await staged(batch)).toEqual([second, third]);
    expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
    expect(await batch.probe()).toEqual(sampleLoaded);
    expect(await flow.bucket.versions(`loaded/${batch.id}/blood.json`)).toHaveLength(1);
  });

  test("a redelivery of another table leaves what stays alone", async () => {
    const batch = await loadSample();
    const second = await flow.upload(batch.key("blood.json"), changed(batch));
    const third = await flow.upload(batch.key("blood.json"), changed(batch, "SST"));
    await flow.arrivals();
    await flow.upload(batch.key("subject.json"), subjects(batch.prefix, 3));
    expect((await flow.arrivals()).runs).toMatchObject([{ output: { status: "already_processed" } }]);
    expect(await staged(batch)).toEqual([second, third]);
  });

  test("the loaded content, put over the changed one, takes its place", async () => {
    const batch = await loadSample();
    await flow.upload(batch.key("blood.json"), changed(batch));
    await flow.arrivals();
    const last = await flow.upload(batch.key("blood.json"), bloods(batch.prefix, 3));
    expect((await flow.arrivals()).runs).toMatchObject([{ output: { status: "already_processed" } }]);
    expect(await staged(batch)).toEqual([]);
    expect(await flow.current(`loaded/${batch.id}/duplicates/`)).toEqual([
      `loaded/${batch.id}/duplicates/${last}/blood.json`,
    ]);
    expect((await outcomesOf(flow, batch)).map(({ code }) => code)).not.toContain("BATCH_FAILED");
  });
});
