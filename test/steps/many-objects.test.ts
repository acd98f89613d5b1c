import { afterAll, beforeAll, expect, test } from "vitest";
import type { ListedObject, ObjectStore } from "../../lib/core/objects.ts";
import { validateBatch } from "../../lib/steps/validate-batch.ts";
import { openLoader } from "../../lib/wiring.ts";
import { newBatch } from "../support/batches.ts";
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

/** A folder of so many parts of `subject`, and the marker that completes it. */
function listing(folder: string, parts: number): Pick<ObjectStore, "list"> {
  const object = (name: string): ListedObject => ({
    key: `${folder}subject/${name}`,
    versionId: null,
    etag: name,
    size: 100,
    lastModified: new Date(0),
    isLatest: true,
  });
  return {
    async *list(prefix) {
      if (prefix !== folder) return;
      yield object("_SUCCESS");
      for (let n = 0; n < parts; n += 1) yield object(`${String(n).padStart(6, "0")}.json`);
    },
  };
}

const parts = 100_000;
/** A Lambda has 512 MB and 15 minutes. */
const mostBytes = 300 * 1024 ** 2;
const mostSeconds = 120;

test("X12 a batch of 100,000 tiny objects is planned in bounded time and memory, and the machine gets ids only", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  const store = { ...loader.ports.store, ...listing(batch.key(""), parts) };
  const started = performance.now();
  const before = process.memoryUsage().heapUsed;
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().heapUsed - before);
  }, 20);
  const run = await validateBatch({ ...loader.ports, store }, { input: { batchId: batch.id }, execution: "many" });
  clearInterval(watch);
  expect(run).toMatchObject({ next: "stage", batchId: batch.id });
  expect(JSON.stringify(run).length).toBeLessThan(2_000);
  expect(peak).toBeLessThan(mostBytes);
  expect((performance.now() - started) / 1000).toBeLessThan(mostSeconds);
  const [items] = await flow.sql`
    select count(*)::integer as items, count(distinct key)::integer as keys
    from table_loader.work_items where plan_id = ${run.planId} and kind = 'fragment'`;
  expect(items).toEqual({ items: parts, keys: parts });
  const item = await loader.ports.items.take(run, 1);
  expect(item).toMatchObject({ table: "subject", state: "pending" });
});
