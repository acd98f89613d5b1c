import { afterAll, beforeAll, expect, test } from "vitest";
import { TransientError } from "../../lib/core/errors.ts";
import { largestFragment, type ObjectStore } from "../../lib/core/objects.ts";
import { stageFragments } from "../../lib/steps/stage-fragments.ts";
import { validateBatch } from "../../lib/steps/validate-batch.ts";
import { openLoader } from "../../lib/wiring.ts";
import { newBatch, stageSample } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { subjects } from "../support/records.ts";

let flow: Flow;
let loader: Awaited<ReturnType<typeof openLoader>>;
beforeAll(async () => {
  flow = await openFlow();
  loader = await openLoader();
});
afterAll(async () => {
  await loader.close();
  await flow.close();
});

/** Reads of blood.json that end, so many of them, as the SDK ends a body that does not match its checksum. */
function damaging(store: ObjectStore, times: number) {
  let reads = 0;
  const read: ObjectStore["read"] = async (version, fromByte) => {
    const body = await store.read(version, fromByte);
    if (!version.key.endsWith("/blood.json")) return body;
    reads += 1;
    if (reads > times) return body;
    async function* bytes() {
      yield* body.bytes;
      throw new TransientError("S3_CHECKSUM", `${version.key}: the bytes that came do not match`);
    }
    return { ...body, bytes: bytes() };
  };
  return { store: { ...store, read }, reads: () => reads };
}

async function stageWith(store: ObjectStore, batchId: string) {
  const ports = { ...loader.ports, store };
  const run = await validateBatch(ports, { input: { batchId }, execution: batchId });
  const { next } = await stageFragments(ports, { run, worker: 1, execution: batchId }, Date.now() + 120_000);
  const items = await ports.items.list(run.planId);
  const fragments = items.filter(({ kind }) => kind === "fragment");
  const states = Object.fromEntries(
    fragments.map(({ table, state, records, fault }) => [table, [state, records, fault?.code]]),
  );
  return { next, states };
}

async function stageDamaged(times: number) {
  const { id } = await stageSample(flow);
  const { store, reads } = damaging(loader.ports.store, times);
  return { ...(await stageWith(store, id)), reads: reads() };
}

test("S17 bytes that never match their checksum: read three times, then it is the object's fault", async () => {
  expect(await stageDamaged(Number.POSITIVE_INFINITY)).toEqual({
    next: "done",
    reads: 3,
    states: { subject: ["done", 3, undefined], blood: ["failed", 0, "S3_CHECKSUM"] },
  });
});

test("S17 bytes that were damaged on the way are read again, and count once", async () => {
  expect(await stageDamaged(2)).toEqual({
    next: "done",
    reads: 3,
    states: { subject: ["done", 3, undefined], blood: ["done", 3, undefined] },
  });
});

test("S11 an object over the limit is refused by its size, also where a manifest has a checksum of it: no GET", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await batch.drop("subject/part-1.json", subjects(batch.prefix, 1));
  await batch.drop("subject/_manifest.json", { fragments: [{ key: "part-1.json", sha256: "0".repeat(64) }] });
  const { store } = loader.ports;
  const reads: string[] = [];
  const oversize: ObjectStore = {
    ...store,
    async *list(prefix) {
      for await (const object of store.list(prefix)) {
        yield object.key.endsWith("/part-1.json") ? { ...object, size: largestFragment + 1 } : object;
      }
    },
    read(version, fromByte) {
      reads.push(version.key);
      return store.read(version, fromByte);
    },
  };
  expect(await stageWith(oversize, batch.id)).toEqual({
    next: "done",
    states: { subject: ["failed", 0, "S3_TOO_LARGE"] },
  });
  expect(reads).toEqual([]);
});
