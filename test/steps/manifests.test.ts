import { afterAll, beforeAll, expect, test } from "vitest";
import { largestText } from "../../lib/core/objects.ts";
import { newBatch, nothingLoaded, sampleLoaded, stageSample } from "../support/batches.ts";
import { sweepOnce } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { subjects } from "../support/records.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => flow.close());

test("a manifest that is too large fails its batch; sweep and other batches go on", async () => {
  const batch = newBatch(flow);
  await batch.drop("subject/part-1.json", subjects(batch.prefix, 2));
  await batch.drop("subject/_manifest.json", new Uint8Array(largestText + 1).fill(0x20));
  expect(await sweepOnce(flow)).toMatchObject({ ran: true, started: [] });
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  const other = await stageSample(flow);
  const { started, runs } = await sweepOnce(flow);
  expect(started.toSorted()).toEqual([batch.id, other.id]);
  const own = runs[started.indexOf(batch.id)];
  expect([own?.status, own?.error]).toEqual(["FAILED", "MANIFEST_INVALID"]);
  expect(own?.states).not.toContain("BlockedWait");
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(await other.probe()).toEqual(sampleLoaded);
  expect(flow.objects(`failed/${batch.id}/`)).toContain(`failed/${batch.id}/subject/_manifest.json`);
  expect(await sweepOnce(flow)).toMatchObject({ ran: true, started: [] });
  await flow.arrivals();
  await expectInvariants(flow);
});
