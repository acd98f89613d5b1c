import { afterAll, describe, expect, inject, test } from "vitest";
import { brokenBatch, sampleBatch, secondBatch } from "../../lib/local/sample/sample-batch.ts";
import { sampleTables } from "../../lib/local/sample/values.ts";
import { brokenRules } from "../support/invariants.ts";
import { openPipeline } from "./pipeline.ts";

/** Batches for the ten tables, from the first object that arrives to the archive. In this order. */

const pipeline = openPipeline(inject("deployed"));
afterAll(() => pipeline.close());

const size = { seed: 1, subjects: 30, samplesPerTable: 20, now: new Date("2026-01-01T00:00:00Z") };
const tables = [...sampleTables].toSorted();

async function storedRows(): Promise<number> {
  const counts = tables.map((table) => pipeline.sql`select count(*)::integer as rows from ${pipeline.sql(table)}`);
  return (await Promise.all(counts)).reduce((sum, [row]) => sum + row?.rows, 0);
}

describe("a batch that arrives in the deployed stack", () => {
  const batchId = "batch_20260101_000001";
  const fragments = sampleBatch(size);

  test("is loaded as soon as it is complete, every record of it", async () => {
    const before = await storedRows();
    await pipeline.queue(batchId, fragments);
    await pipeline.drop(batchId, fragments);
    const result = await pipeline.settled(batchId, "loaded");
    expect(result).toMatchObject({ status: "success", records_read: 210, records_loaded: 210, errors: [] });
    expect(Object.keys(result.tables).toSorted()).toEqual(tables);
    expect(await storedRows()).toBe(before + 210);
  });

  test("lies in loaded/ as a whole, beside its result, and nowhere else", async () => {
    await pipeline.quiet();
    const files = [...fragments.map(({ fileName }) => fileName), "load_result.json"];
    const archived = files.map((file) => `loaded/${batchId}/${file}`).toSorted();
    expect(await pipeline.keys(`loaded/${batchId}/`)).toEqual(archived);
    expect(await pipeline.keys(`staging/validated/${batchId}/`)).toEqual([]);
    expect(await brokenRules(pipeline)).toEqual({});
  });
});

describe("a second batch", () => {
  const batchId = "batch_20260101_000002";
  const { fragments, expected } = secondBatch(size);
  const counts = Object.values(expected);
  const sum = (name: keyof (typeof counts)[number]): number => counts.reduce((total, count) => total + count[name], 0);

  test("is previewed by an execution by hand, without an approval and without a trace", async () => {
    await pipeline.drop(batchId, fragments);
    await pipeline.quiet();
    const before = await storedRows();
    const { status, output } = await pipeline.ended(await pipeline.start({ batchId, dryRun: true }));
    expect(status).toBe("SUCCEEDED");
    const { report_key } = output as { report_key: string };
    expect(report_key).toMatch(new RegExp(`^previews/${batchId}/`));
    const preview = await pipeline.json(report_key);
    expect(preview).toMatchObject({ status: "preview", would_be: "success", records_loaded: sum("inserted") });
    expect(await storedRows()).toBe(before);
    expect(await pipeline.state(batchId)).not.toBe("loaded");
    expect((await pipeline.keys(`staging/validated/${batchId}/`)).length).toBe(fragments.length);
  });

  test("does what its preview said, once it is approved and started", async () => {
    const before = await storedRows();
    await pipeline.queue(batchId, fragments);
    const { status, output } = await pipeline.ended(await pipeline.start({ batchId }));
    expect(status).toBe("SUCCEEDED");
    expect(output).toMatchObject({
      status: "success",
      records_loaded: sum("inserted"),
      records_updated: sum("updated"),
      records_unchanged: sum("unchanged"),
      records_skipped: sum("skipped"),
    });
    expect(await storedRows()).toBe(before + sum("inserted"));
  });
});

test("a batch with rejected records changes nothing, and lies in failed/ beside its error log", async () => {
  const batchId = "batch_20260101_000003";
  const { fragments, broken } = brokenBatch({ ...size, seed: 3 });
  const before = await storedRows();
  await pipeline.queue(batchId, fragments);
  await pipeline.drop(batchId, fragments);
  await pipeline.settled(batchId, "failed");
  await pipeline.quiet();
  expect(await storedRows()).toBe(before);
  const log = (await pipeline.json(`failed/${batchId}/error_log.json`)) as { rejected_records: object[] };
  expect(log.rejected_records).toHaveLength(broken.length);
  for (const { table, record, field, code } of broken) {
    expect(log.rejected_records).toContainEqual(expect.objectContaining({ table, record, field, code }));
  }
  const archived = fragments.map(({ fileName }) => `failed/${batchId}/${fileName}`);
  expect(await pipeline.keys(`failed/${batchId}/`)).toEqual(expect.arrayContaining(archived));
  expect(await pipeline.keys(`staging/validated/${batchId}/`)).toEqual([]);
  expect(await brokenRules(pipeline)).toEqual({});
});
