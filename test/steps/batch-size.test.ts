import { afterAll, beforeAll, expect, test } from "vitest";
import { newBatch, nothingLoaded, sampleLoaded, stageSample, type TestBatch } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { subjects } from "../support/records.ts";

/** A sample batch has three subjects and three bloods, which is the most. */
let flow: Flow;
beforeAll(async () => {
  flow = await openFlow({ variables: { MAX_RECORDS_PER_BATCH: "6" } });
});
afterAll(() => flow.close());

type Large = { readonly declaredBy: "queue" | "manifest" | "nobody" };

async function stageLarge({ declaredBy }: Large): Promise<TestBatch> {
  const batch = newBatch(flow);
  const declared = declaredBy === "queue" ? { totalRecords: 7 } : {};
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true, ...declared });
  await batch.drop("subject/part-1.json", subjects(batch.prefix, 7));
  const records = declaredBy === "manifest" ? { records: 7 } : {};
  await batch.drop("subject/_manifest.json", { fragments: [{ key: "part-1.json", ...records }] });
  return batch;
}

test.each([
  { declaredBy: "queue", staged: false },
  { declaredBy: "manifest", staged: false },
  { declaredBy: "nobody", staged: true },
] as const)(
  "X12 too many records, declared by $declaredBy: the batch fails, one beside it loads",
  async ({ declaredBy, staged }) => {
    const large = await stageLarge({ declaredBy });
    const other = await stageSample(flow);
    const [failed, loaded] = await Promise.all([flow.run({ batchId: large.id }), flow.run({ batchId: other.id })]);
    expect(loaded).toMatchObject({ status: "SUCCEEDED", output: { records_loaded: 6 } });
    expect(await other.probe()).toEqual(sampleLoaded);
    expect([failed.status, failed.error]).toEqual(["FAILED", "BATCH_TOO_LARGE"]);
    expect(failed.cause).toContain("has 7 records, MAX_RECORDS_PER_BATCH allows 6; deliver it in smaller batches");
    expect(failed.states.includes("CommitBatch")).toBe(staged);
    expect(await large.probe()).toEqual(nothingLoaded);
    expect(await flow.json(`failed/${large.id}/load_result.json`)).toMatchObject({
      status: "failed",
      errors: [{ code: "BATCH_TOO_LARGE" }],
    });
    await flow.arrivals();
    await expectInvariants(flow);
  },
);
