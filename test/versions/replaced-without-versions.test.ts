import { afterAll, beforeAll, expect, test } from "vitest";
import { ledgerOf, newBatch, nothingLoaded, queueOf } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { subjects } from "../support/records.ts";
import { slicing } from "./slices.ts";

/** A bucket that keeps no versions: an object that is replaced is gone. */

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => flow.close());

test("S06: an object that is replaced between two of its slices fails the batch, and no half of it is loaded", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  // as long as each other: nothing but the ETag tells them apart
  const replace = () => batch.drop("subject.json", subjects(batch.prefix, 3, { family_id: "later" }));
  await batch.drop("subject.json", subjects(batch.prefix, 3, { family_id: "first" }));
  const run = async () => {
    const { status, error, cause } = await flow.run({ batchId: batch.id, batchSize: 1 });
    expect({ status, error }).toEqual({ status: "FAILED", error: "S3_CHANGED" });
    expect(cause).toContain(batch.key("subject.json"));
  };
  expect(await slicing(run, replace)).toBe(1);
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "failed" });
  expect(await queueOf(flow, batch)).toEqual({ subject: "load_failed" });
  expect(JSON.stringify(await flow.json(`failed/${batch.id}/error_log.json`))).toContain("S3_CHANGED");
  // what came instead belongs to no load: it stays where it is
  expect(flow.objects(batch.key(""))).toEqual([batch.key("subject.json")]);

  await flow.approve(batch.id);
  // S3 gives whole seconds: an approval of the second in which the object came may be older than it
  await flow.sql`update validation_queue set approved_at = now() + interval '2 seconds' where batch_id = ${batch.id}`;
  expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({ status: "SUCCEEDED" });
  const rows = await flow.sql`
    select distinct family_id from subject where global_subject_id like ${`${batch.prefix}-%`}`;
  expect([...rows]).toEqual([{ family_id: "later" }]);
  await expectInvariants(flow);
});
