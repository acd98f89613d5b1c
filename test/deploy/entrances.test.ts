import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { GetQueueAttributesCommand, ReceiveMessageCommand, SendMessageCommand } from "@aws-sdk/client-sqs";
import { afterAll, describe, expect, inject, test } from "vitest";
import type { SampleFragment } from "../../lib/local/sample/values.ts";
import { brokenRules } from "../support/invariants.ts";
import { bloods, subjects } from "../support/records.ts";
import { account, region } from "./emulator.ts";
import { openPipeline } from "./pipeline.ts";
import { until } from "./waiting.ts";

/** What arrives twice, wrongly, or all at once. */

const deployed = inject("deployed");
const { BucketName, ArrivalsQueueUrl, DeadLetterQueueUrl } = deployed.outputs;
const pipeline = openPipeline(deployed);
const { sqs, s3 } = pipeline.clients;
afterAll(() => pipeline.close());

/** Three participants with a blood sample each, whose keys nobody else has. */
function smallBatch(prefix: string): SampleFragment[] {
  return [
    { table: "subject", fileName: "subject.json", body: JSON.stringify(subjects(prefix, 3)) },
    { table: "blood", fileName: "blood.json", body: JSON.stringify(bloods(prefix, 3)) },
  ];
}

async function load(batchId: string, prefix: string): Promise<void> {
  const fragments = smallBatch(prefix);
  await pipeline.queue(batchId, fragments);
  await pipeline.drop(batchId, fragments);
  expect(await pipeline.settled(batchId, "loaded")).toMatchObject({ records_read: 6, records_loaded: 6 });
}

/** How often each batch took effect, by what the commits and the audit log say. */
async function effects(batchIds: readonly string[]): Promise<object[]> {
  const rows = await pipeline.sql`
    select b.batch_id as batch,
      (select count(*)::integer from table_loader.commits c where c.batch_id = b.batch_id) as commits,
      (select count(*)::integer from load_audit_log l where l.batch_id = b.batch_id and l.status = 'success') as logged
    from table_loader.batches b where b.batch_id = any(${[...batchIds]}) order by b.batch_id`;
  return [...rows];
}

describe("a batch that was loaded", () => {
  const batchId = "batch_20260102_000001";

  test("does not load again where the same object arrives again, which is kept as a duplicate", async () => {
    await load(batchId, "DUP");
    await pipeline.quiet();
    const [, blood] = smallBatch("DUP");
    const version = await pipeline.put(`staging/validated/${batchId}/blood.json`, blood?.body ?? "");
    const kept = `loaded/${batchId}/duplicates/${version.replaceAll(/[^A-Za-z0-9._-]/g, "")}/blood.json`;
    await until(`${kept} to be there`, async () => (await pipeline.keys(kept)).length === 1);
    await pipeline.quiet();
    expect(await pipeline.keys(`staging/validated/${batchId}/`)).toEqual([]);
    expect(await effects([batchId])).toEqual([{ batch: batchId, commits: 2, logged: 2 }]);
  });

  test("starts nothing where the same event comes again", async () => {
    const body = await eventOf(batchId, "blood.json");
    for (const _ of [1, 2]) await sqs.send(new SendMessageCommand({ QueueUrl: ArrivalsQueueUrl, MessageBody: body }));
    const told = async (code: string): Promise<number> =>
      (await pipeline.log()).split("\n").filter((line) => line.includes(code) && line.includes(batchId)).length;
    await until("the second event to be known", async () => (await told("EVT_DUPLICATE")) > 0);
    await pipeline.quiet();
    expect(await effects([batchId])).toEqual([{ batch: batchId, commits: 2, logged: 2 }]);
    expect(await brokenRules(pipeline)).toEqual({});
  });
});

/** EventBridge's event of an object, as the rule hands it to the queue. */
async function eventOf(batchId: string, file: string): Promise<string> {
  const { ETag = "", VersionId } = await s3.send(
    new HeadObjectCommand({ Bucket: BucketName, Key: `loaded/${batchId}/${file}` }),
  );
  const object = { size: 1, etag: ETag.replaceAll('"', ""), "version-id": VersionId, sequencer: "0066A1B2C3D4E5F607" };
  return JSON.stringify({
    source: "aws.s3",
    "detail-type": "Object Created",
    account,
    region,
    detail: { bucket: { name: BucketName }, object: { key: `staging/validated/${batchId}/${file}`, ...object } },
  });
}

test("a message that is no event of ours is put aside, with the reason", async () => {
  const body = '{"hello":"world"}';
  await sqs.send(new SendMessageCommand({ QueueUrl: ArrivalsQueueUrl, MessageBody: body }));
  const receive = { QueueUrl: DeadLetterQueueUrl, MessageAttributeNames: ["All"], VisibilityTimeout: 0 };
  const [letter] = await until("the message in the dead-letter queue", async () => {
    const { Messages } = await sqs.send(new ReceiveMessageCommand(receive));
    return Messages?.length ? Messages : null;
  });
  expect(letter?.Body).toBe(body);
  expect(letter?.MessageAttributes).toMatchObject({ code: { StringValue: "EVT_MALFORMED" } });
});

test("thirty batches at once are each loaded once, and none is put aside", async () => {
  const before = await deadLetters();
  const batches = Array.from({ length: 30 }, (_, index) => ({
    id: `batch_20260103_${String(index + 1).padStart(6, "0")}`,
    prefix: `MANY${index + 1}`,
  }));
  await Promise.all(batches.map(({ id, prefix }) => load(id, prefix)));
  await pipeline.quiet();
  expect(await effects(batches.map(({ id }) => id))).toEqual(
    batches.map(({ id }) => ({ batch: id, commits: 2, logged: 2 })),
  );
  const [rows] = await pipeline.sql`
    select (select count(*)::integer from subject where global_subject_id like 'MANY%') as subjects,
      (select count(*)::integer from blood where sample_id like 'MANY%') as bloods`;
  expect(rows).toEqual({ subjects: 90, bloods: 90 });
  expect(await pipeline.keys("staging/validated/batch_20260103_")).toEqual([]);
  expect(await deadLetters()).toBe(before);
  expect(await brokenRules(pipeline)).toEqual({});
});

async function deadLetters(): Promise<string | undefined> {
  const AttributeNames = ["ApproximateNumberOfMessages" as const];
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: DeadLetterQueueUrl, AttributeNames }),
  );
  return Attributes?.ApproximateNumberOfMessages;
}
