import { DeleteObjectCommand, GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { CrashPoint } from "../../lib/core/ports.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import {
  attemptsOf,
  ledgerOf,
  newBatch,
  queueOf,
  sampleLoaded,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { buryTheDead, crashAt, takeOver } from "../support/crash.ts";
import { subjects } from "../support/records.ts";
import { openVersionedFlow, type VersionedFlow } from "./support.ts";

/** The way into the archive, interrupted or barred. */

let flow: VersionedFlow;
beforeAll(async () => {
  flow = await openVersionedFlow();
});
afterAll(() => flow.close());
afterEach(() => {
  buryTheDead();
  onCrashPoint(() => undefined);
  vi.restoreAllMocks();
});

const archived = ({ id }: TestBatch, name: string): string => `loaded/${id}/${name}`;
const staged = (batch: TestBatch) => flow.bucket.versions(batch.key(""));

async function expectArchived(batch: TestBatch): Promise<void> {
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
  for (const name of ["subject.json", "blood.json"]) {
    expect(await flow.bucket.versions(archived(batch, name))).toMatchObject([{ isLatest: true, isMarker: false }]);
  }
  expect(await flow.bucket.uploads()).toBe(0);
}

/** Objects are moved several at a time: of the others nobody knows how far they are. */
const deaths: { id: string; point: CrashPoint; time: number; atMost: number }[] = [
  { id: "K07 before the first copy", point: "before-archive-copy", time: 1, atMost: 2 },
  { id: "K07 before the second copy", point: "before-archive-copy", time: 2, atMost: 2 },
  { id: "K08 after the first object, before the ledger knows", point: "after-archive-copy", time: 1, atMost: 1 },
  { id: "K08 after all objects", point: "after-archive", time: 1, atMost: 0 },
];

test.each(deaths)("$id: the successor archives the rest, and nothing twice", async ({ point, time, atMost }) => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, point, { time });
  expect((await staged(batch)).length).toBeLessThanOrEqual(atMost);
  expect(await takeOver(flow, batch)).toMatchObject({ runs: [{ status: "SUCCEEDED" }] });
  expect(await staged(batch)).toEqual([]);
  await expectArchived(batch);
});

test("K08: copied and not deleted: the successor verifies the copy and deletes the version that was read", async () => {
  const batch = await stageSample(flow);
  const text = (await flow.bucket.text(batch.key("subject.json"))) ?? "";
  await crashAt(flow, batch, "before-archive-copy");
  await flow.bucket.put(archived(batch, "subject.json"), text);
  const newer = await flow.upload(batch.key("subject.json"), subjects(batch.prefix, 2));
  await takeOver(flow, batch);
  expect(await staged(batch)).toMatchObject([{ versionId: newer, isLatest: true }]);
  await expectArchived(batch);
  expect(await flow.bucket.text(archived(batch, "subject.json"))).toBe(text);
});

test("a delete that is refused blocks, and is repeated without another copy", async () => {
  const batch = await stageSample(flow);
  const send = S3Client.prototype.send as (this: S3Client, ...call: unknown[]) => Promise<unknown>;
  // of both objects, and then of one
  let refusals = 0;
  vi.spyOn(S3Client.prototype, "send").mockImplementation(function (this: S3Client, ...call: unknown[]) {
    const [command] = call;
    if (!(command instanceof DeleteObjectCommand) || refusals >= 3) return send.apply(this, call);
    refusals += 1;
    return Promise.reject(Object.assign(new Error("no"), { name: "AccessDenied", $metadata: { httpStatusCode: 403 } }));
  });
  const { status, states } = await flow.run({ batchId: batch.id });
  expect(status).toBe("SUCCEEDED");
  expect(states.filter((state) => state === "BlockedWait")).toHaveLength(2);
  expect(await staged(batch)).toEqual([]);
  await expectArchived(batch);
});

describe("S18", () => {
  test("other content under the archive's key: rows and source stay, and it goes on when that is taken away", async () => {
    const batch = await stageSample(flow);
    const key = archived(batch, "subject.json");
    const foreign = await flow.upload(key, "somebody else's");
    const before = await staged(batch);
    let rounds = 0;
    onCrashPoint(async (point) => {
      if (point !== "before-claim") return;
      rounds += 1;
      if (rounds === 2) expect(await blockedBy(batch)).toEqual({ state: "committed", code: "ARCHIVE_CONFLICT" });
      if (rounds === 3) {
        expect(await batch.probe()).toEqual(sampleLoaded);
        expect(await staged(batch)).toContainEqual(before.find(({ key: at }) => at === batch.key("subject.json")));
        expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
        await flow.bucket.delete(key);
      }
    });
    expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
    expect(rounds).toBe(3);
    expect(await staged(batch)).toEqual([]);
    const versions = await flow.bucket.versions(key);
    expect(versions).toHaveLength(3);
    expect(versions.filter(({ isLatest }) => !isLatest)).toContainEqual(
      expect.objectContaining({ versionId: foreign }),
    );
    expect(JSON.parse((await flow.bucket.text(key)) ?? "")).toEqual(subjects(batch.prefix, 3));
    expect(await attemptsOf(flow, batch)).not.toContain("failed");
  });

  async function blockedBy(batch: TestBatch): Promise<object> {
    const { state, reason_code: code } = (await ledgerOf(flow, batch)) ?? {};
    return { state, code };
  }
});

test("a manifest is read in the version that was listed, and moves last", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await flow.upload(batch.key("subject/part-1.json"), subjects(batch.prefix, 2));
  const manifest = { fragments: [{ key: "part-1.json", records: 2 }] };
  const listed = await flow.upload(batch.key("subject/_manifest.json"), manifest);
  const send = vi.spyOn(S3Client.prototype, "send");
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  const commands = send.mock.calls.map(([command]) => command);
  const reads = commands.filter((command) => command instanceof GetObjectCommand);
  const key = batch.key("subject/_manifest.json");
  expect(reads.find(({ input }) => input.Key === key)?.input).toMatchObject({ VersionId: listed });
  const deletes = commands.filter((command) => command instanceof DeleteObjectCommand);
  expect(deletes.map(({ input }) => input.Key)).toEqual([batch.key("subject/part-1.json"), key]);
});
