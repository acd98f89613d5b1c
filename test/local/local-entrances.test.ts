import type { SQSEvent } from "aws-lambda";
import { afterEach, expect, test, vi } from "vitest";
import { openBucket } from "../../lib/local/bucket.ts";
import { type LocalEntrances, openLocalEntrances } from "../../lib/local/local-entrances.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(startLoad: (event: SQSEvent) => unknown, onFault?: (error: unknown) => void) {
  let entrances: LocalEntrances | undefined;
  const bucket = await openBucket({
    storageDir: null,
    bucket: "idhub-curated-fragments",
    onArrival: (event) => entrances?.deliver(event),
  });
  entrances = openLocalEntrances({
    bucket,
    startLoad: { name: "start-load", handler: (event) => startLoad(event as SQSEvent) },
    windowMilliseconds: 20,
    ...(onFault ? { onFault } : {}),
  });
  closing.push(() => bucket.close(), entrances.close);
  return { bucket, entrances };
}

const keysOf = (event: SQSEvent): string[] => event.Records.map(({ body }) => JSON.parse(body).detail.object.key);

test("hands the events of staging to start-load together, and no others", async () => {
  const seen: string[][] = [];
  const { bucket, entrances } = await open((event) => {
    seen.push(keysOf(event));
    return { batchItemFailures: [] };
  });
  const keys = Array.from({ length: 25 }, (_, index) => `staging/validated/b/part-${index}.json`);
  for (const key of keys) await bucket.put(key, "[]");
  await bucket.put("config/tables.json", "{}");
  await bucket.put("loaded/b/blood.json", "[]");
  expect(await entrances.drain()).toEqual({ received: 25, failed: 0 });
  expect(seen).toEqual([keys]);
  expect(await entrances.drain()).toEqual({ received: 0, failed: 0 });
});

test("deletes all messages but those that start-load reports", async () => {
  const { bucket, entrances } = await open((event) => ({
    batchItemFailures: event.Records.filter(({ body }) => body.includes("bad")).map(({ messageId }) => ({
      itemIdentifier: messageId,
    })),
  }));
  for (const name of ["good", "bad", "fine"]) await bucket.put(`staging/validated/b/${name}.json`, "[]");
  expect(await entrances.drain()).toEqual({ received: 3, failed: 1 });
  const input = { QueueUrl: bucket.arrivals.url, AttributeNames: ["All"] };
  expect(await bucket.sqs("GetQueueAttributes", input)).toMatchObject({
    Attributes: { ApproximateNumberOfMessages: "0", ApproximateNumberOfMessagesNotVisible: "1" },
  });
});

test("keeps every message when start-load throws", async () => {
  const faults: unknown[] = [];
  const { bucket, entrances } = await open(
    () => {
      throw new TypeError("no");
    },
    (error) => faults.push(error),
  );
  await bucket.put("staging/validated/b/blood.json", "[]");
  expect(await entrances.drain()).toEqual({ received: 1, failed: 1 });
  expect(faults).toMatchObject([{ name: "TypeError" }]);
});

test("polls by itself until it is closed", async () => {
  const startLoad = vi.fn((_event: SQSEvent) => ({ batchItemFailures: [] }));
  const { bucket, entrances } = await open(startLoad);
  entrances.start();
  await bucket.put("staging/validated/b/blood.json", "[]");
  await expect.poll(() => startLoad.mock.calls.length).toBe(1);
  await entrances.close();
  const record = startLoad.mock.calls[0]?.[0].Records[0];
  expect(record).toMatchObject({ eventSource: "aws:sqs", attributes: { ApproximateReceiveCount: "1" } });
});
