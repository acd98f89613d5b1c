import { CreateMultipartUploadCommand, UploadPartCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { CrashPoint } from "../../lib/core/ports.ts";
import { sweep } from "../../lib/steps/sweep.ts";
import { onCrashPoint, openStarter } from "../../lib/wiring.ts";
import { ledgerOf, nothingLoaded, sampleLoaded, stageSample, type TestBatch } from "../support/batches.ts";
import { buryTheDead, crashAt, expectNothingToHeal, sweepOnce, takeOver } from "../support/crash.ts";
import { takeSnapshot } from "../support/database.ts";
import { bloods } from "../support/records.ts";
import { openVersionedFlow, type VersionedFlow } from "./support.ts";

/** What the sweep heals, on a bucket with versions. */

let flow: VersionedFlow;
beforeAll(async () => {
  flow = await openVersionedFlow();
});
afterAll(() => flow.close());
afterEach(() => {
  buryTheDead();
  onCrashPoint(() => undefined);
});

const archived = ({ id }: TestBatch, name: string): string => `loaded/${id}/${name}`;

async function expectLoaded(batch: TestBatch): Promise<void> {
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
  expect(await flow.current(batch.key(""))).toEqual([]);
  // read where they lie: no further version was made
  for (const name of ["subject.json", "blood.json"]) {
    expect(await flow.bucket.versions(archived(batch, name))).toHaveLength(1);
  }
  await expectNothingToHeal(flow);
}

const moments: { point: CrashPoint; state: string | undefined }[] = [
  { point: "before-claim", state: undefined },
  { point: "after-plan", state: "loading" },
  { point: "before-commit", state: "loading" },
  { point: "after-commit", state: "committed" },
];

test.each(moments)(
  "I3 restored to $point ($state), after the batch was loaded and archived",
  async ({ point, state }) => {
    const batch = await stageSample(flow);
    await crashAt(flow, batch, point);
    const snapshot = await takeSnapshot(flow);
    await takeOver(flow, batch);
    await flow.arrivals();
    await expectLoaded(batch);
    await snapshot.restore();
    expect((await ledgerOf(flow, batch))?.state).toBe(state);
    expect((await takeOver(flow, batch)).runs).toMatchObject([{ output: { status: "success" } }]);
    await expectLoaded(batch);
    const rows = await flow.sql`
    select state, count(*)::integer as versions from table_loader.object_versions
    where batch_id = ${batch.id} and state in ('loaded', 'stray') group by 1`;
    expect([...rows]).toEqual([{ state: "loaded", versions: 2 }]);
  },
);

test("a fragment that was replaced since is not taken for the one that was loaded: it waits for an approval", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "before-claim");
  const snapshot = await takeSnapshot(flow);
  await takeOver(flow, batch);
  await flow.arrivals();
  await snapshot.restore();
  await flow.sql`update validation_queue set approved_at = now() - interval '1 minute' where batch_id = ${batch.id}`;
  const replaced = await flow.upload(batch.key("blood.json"), bloods(batch.prefix, 2));
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "waiting", reason_code: "APPROVAL_OUTDATED" });
  expect(await batch.probe()).toEqual(nothingLoaded);
  await flow.bucket.delete(batch.key("blood.json"), replaced);
  expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { status: "success" } }]);
  await flow.arrivals();
  await expectLoaded(batch);
});

/** As somebody who was killed in the middle of a big copy leaves it. */
async function beginUpload(Key: string): Promise<void> {
  const { s3, name: Bucket } = flow.bucket;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: "half of it" }));
}

test("K07 a copy in parts that was never ended: given up by the sweep, once it is older than a lease", async () => {
  const before = await flow.bucket.uploads();
  const batchId = "batch_20200101_000000";
  for (const key of [`loaded/${batchId}/big.json`, `failed/${batchId}/big.json`, "elsewhere/big.json"]) {
    await beginUpload(key);
  }
  const { ports, close } = await openStarter();
  const now = Date.now();
  // the stand-in says of every upload that it was begun long ago
  const sweepAt = (age: number) => {
    const initiated = new Date(now - age * 1000);
    const unfinished: typeof ports.uploads.unfinished = async (prefix) =>
      (await ports.uploads.unfinished(prefix)).map((upload) => ({ ...upload, initiated }));
    return sweep({ ...ports, uploads: { ...ports.uploads, unfinished } }, {}, now + 240_000);
  };
  expect((await sweepAt(ports.settings.leaseSeconds - 30)).healed).toEqual({});
  expect(await flow.bucket.uploads()).toBe(before + 3);
  expect((await sweepAt(ports.settings.leaseSeconds + 30)).healed).toEqual({ UPLOAD_ABANDONED: 2 });
  await close();
  expect(await flow.bucket.uploads()).toBe(before + 1);
  const healings = await flow.sql`
    select detail from table_loader.healings where kind = 'UPLOAD_ABANDONED' and batch_id = ${batchId} order by 1`;
  expect(healings.map(({ detail }) => String(detail).includes("big.json"))).toEqual([true, true]);
});
