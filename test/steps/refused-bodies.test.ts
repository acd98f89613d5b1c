import { afterAll, beforeAll, expect, test } from "vitest";
import { BlockedError } from "../../lib/core/errors.ts";
import type { ObjectStore } from "../../lib/core/objects.ts";
import type { Slices } from "../../lib/core/ports.ts";
import { stageFragments } from "../../lib/steps/stage-fragments.ts";
import { validateBatch } from "../../lib/steps/validate-batch.ts";
import { openLoader } from "../../lib/wiring.ts";
import { stageSample } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";

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

test("S02 an object in an archived storage class: no slice is begun, so no transaction", async () => {
  const batch = await stageSample(flow);
  const { ports } = loader;
  const staged: string[] = [];
  const slices: Slices = {
    stage: (slice, body) => {
      staged.push(slice.item.table);
      return ports.slices.stage(slice, body);
    },
  };
  const read: ObjectStore["read"] = async ({ key }) => {
    throw new BlockedError("S3_STORAGE_CLASS", `${key} is in an archived storage class`);
  };
  const run = await validateBatch(ports, { input: { batchId: batch.id }, execution: "e" });
  const request = { run, worker: 1, execution: "e" };
  const archived = stageFragments({ ...ports, slices, store: { ...ports.store, read } }, request, Date.now() + 120_000);
  await expect(archived).rejects.toMatchObject({ name: "BlockedError", code: "S3_STORAGE_CLASS" });
  expect(staged).toEqual([]);
  const again = await stageFragments({ ...ports, slices }, request, Date.now() + 120_000);
  expect(again).toEqual({ next: "done", worker: 1 });
  expect(staged.toSorted()).toEqual(["blood", "subject"]);
});

test("a body that was opened is closed where its slice cannot begin", async () => {
  const batch = await stageSample(flow);
  const { ports } = loader;
  let open = 0;
  const read: ObjectStore["read"] = async (version, fromByte) => {
    const body = await ports.store.read(version, fromByte);
    async function* watched() {
      open += 1;
      try {
        yield* body.bytes;
      } finally {
        open -= 1;
      }
    }
    return { ...body, bytes: watched() };
  };
  const seen: number[] = [];
  const stage: Slices["stage"] = async () => {
    seen.push(open);
    throw new BlockedError("DB_AUTH", "the login is refused");
  };
  const run = await validateBatch(ports, { input: { batchId: batch.id }, execution: "e" });
  const refusing = { ...ports, slices: { stage }, store: { ...ports.store, read } };
  const request = { run, worker: 1, execution: "e" };
  const refused = stageFragments(refusing, request, Date.now() + 120_000);
  await expect(refused).rejects.toMatchObject({ code: "DB_AUTH" });
  expect(seen).toEqual([1]);
  await expect.poll(() => open).toBe(0);
});
