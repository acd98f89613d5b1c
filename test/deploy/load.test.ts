import { afterAll, describe, expect, inject, test } from "vitest";
import { sampleBatch } from "../../lib/local/sample/sample-batch.ts";
import { sampleTables } from "../../lib/local/sample/types.ts";
import { brokenRules } from "../support/invariant-rules.ts";
import { openPipeline } from "./pipeline.ts";

/** A batch for the ten tables, from the first object that arrives to the archive. */

const pipeline = openPipeline(inject("deployed"));
afterAll(() => pipeline.close());

const now = new Date("2026-01-01T00:00:00Z");

describe("a batch that arrives in the deployed stack", () => {
  const batchId = "batch_20260101_000001";
  const size = { subjects: 30, samplesPerTable: 20 };
  const fragments = sampleBatch({ seed: 1, now, ...size });

  test("is loaded once it is complete, every record of it", async () => {
    await pipeline.drop(batchId, fragments);
    await pipeline.queue(batchId, fragments);
    // the approval comes last and makes no event: whoever approves in the queue waits for the sweep, or starts by hand
    await pipeline.start({ batchId });
    const result = await pipeline.settled(batchId, "loaded");
    expect(result).toMatchObject({ status: "success", records_read: 210, records_loaded: 210, errors: [] });
    expect(Object.keys(result.tables).toSorted()).toEqual([...sampleTables].toSorted());
    const [counts] = await pipeline.sql`
      select (select count(*)::int from subject) as subject, (select count(*)::int from blood) as blood,
        (select count(*)::int from tissue) as tissue`;
    expect(counts).toMatchObject({ subject: 30, blood: 20, tissue: 20 });
  });

  test("lies in loaded/ as a whole, beside its result, and nowhere else", async () => {
    await pipeline.quiet();
    const files = [...fragments.map(({ fileName }) => fileName), "load_result.json"];
    expect(await pipeline.keys(`loaded/${batchId}/`)).toEqual(
      files.map((file) => `loaded/${batchId}/${file}`).toSorted(),
    );
    expect(await pipeline.keys("staging/")).toEqual([]);
    expect(await brokenRules(pipeline)).toEqual({});
  });
});
