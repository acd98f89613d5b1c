import { rm } from "node:fs/promises";
import { request } from "node:http";
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterEach, expect, test } from "vitest";
import { type LocalBucket, openBucket } from "../../lib/local/bucket.ts";
import type { ObjectCreatedEvent } from "../../lib/local/object-event.ts";
import { makeTemporaryDirectory } from "../../lib/local/postgres-process.ts";

const Bucket = "idhub-curated-fragments";
const credentials = { accessKeyId: "local", secretAccessKey: "local" };
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(storageDir: string | null = null) {
  const events: ObjectCreatedEvent[] = [];
  const bucket = await openBucket({ storageDir, bucket: Bucket, onArrival: (event) => events.push(event) });
  closing.push(() => bucket.close());
  return { bucket, events, s3: clientOf(bucket) };
}

function clientOf(bucket: LocalBucket): S3Client {
  return new S3Client({ endpoint: bucket.endpoint, region: bucket.region, credentials, forcePathStyle: true });
}

test("tells of an object that was put, as EventBridge does, with its key raw", async () => {
  const { events, s3 } = await open();
  const Key = "staging/validated/batch_20250101_000000/blood +%é.json";
  await s3.send(new PutObjectCommand({ Bucket, Key, Body: "[]" }));
  expect(events).toEqual([
    {
      version: "0",
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      "detail-type": "Object Created",
      source: "aws.s3",
      account: "000000000000",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      region: "us-east-1",
      resources: [`arn:aws:s3:::${Bucket}`],
      detail: {
        version: "0",
        bucket: { name: Bucket },
        object: {
          key: Key,
          size: 2,
          etag: "d751713988987e9331980363e24189ce",
          sequencer: expect.stringMatching(/^[0-9A-F]{18}$/),
        },
        "request-id": expect.any(String),
        requester: "000000000000",
        "source-ip-address": "127.0.0.1",
        reason: "PutObject",
      },
    },
  ]);
});

test("tells of copies and completed multipart uploads, in order, and of nothing else", async () => {
  const { bucket, events, s3 } = await open();
  await bucket.put("a b.json", "[]");
  await s3.send(new CopyObjectCommand({ Bucket, Key: "copy.json", CopySource: `${Bucket}/a%20b.json` }));
  await s3.send(new GetObjectCommand({ Bucket, Key: "copy.json" }));
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "parts.json" }));
  const { ETag } = await s3.send(
    new UploadPartCommand({ Bucket, Key: "parts.json", UploadId, PartNumber: 1, Body: "[1]" }),
  );
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key: "parts.json", UploadId, MultipartUpload }));

  expect(events.map(({ detail }) => [detail.object.key, detail.reason])).toEqual([
    ["a b.json", "PutObject"],
    ["copy.json", "CopyObject"],
    ["parts.json", "CompleteMultipartUpload"],
  ]);
  const sequencers = events.map(({ detail }) => detail.object.sequencer);
  expect([...new Set(sequencers)].sort()).toEqual(sequencers);
});

test("takes an object of 40 MB in one put", async () => {
  const { bucket, events } = await open();
  await bucket.put("big.json", new Uint8Array(40_000_000));
  expect(events[0]?.detail.object.size).toBe(40_000_000);
});

test("keeps objects in files over close and open", async () => {
  const directory = await makeTemporaryDirectory();
  closing.push(() => rm(directory, { recursive: true }));
  const first = await openBucket({ storageDir: directory, bucket: Bucket });
  await first.put("loaded/b/blood.json", "[1]");
  await first.close();
  const { bucket } = await open(directory);
  expect(bucket.keys("loaded/")).toEqual(["loaded/b/blood.json"]);
  expect(Buffer.from((await bucket.get("loaded/b/blood.json")) ?? []).toString()).toBe("[1]");
  expect(await bucket.get("loaded/b/lcl.json")).toBeNull();
});

test("has queues that an SQS client reads by their URL, and listens on this machine only", async () => {
  const { bucket } = await open();
  const sqs = new SQSClient({ endpoint: bucket.endpoint, region: bucket.region, credentials });
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: bucket.deadLetters.url, AttributeNames: ["All"] }),
  );
  expect(Attributes?.ApproximateNumberOfMessages).toBe("0");
  expect(bucket.endpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

test("lists over several pages in the order of bytes, each key and each folder once", async () => {
  const { bucket, s3 } = await open();
  const names = [
    "_SUCCESS",
    "B.json",
    "a-1.json",
    "a.json",
    "a/1.json",
    "a_1.json",
    "b.json",
    "é.json",
    "\u{ffff}",
    "\u{10000}",
  ];
  for (const name of names) await bucket.put(`staging/b/${name}`, "[]");
  const list = async (Prefix: string, Delimiter?: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const page of paginateListObjectsV2({ client: s3, pageSize: 3 }, { Bucket, Prefix, Delimiter })) {
      found.push(
        ...(page.Contents ?? []).map(({ Key = "" }) => Key),
        ...(page.CommonPrefixes ?? []).map(({ Prefix: folder = "" }) => folder),
      );
    }
    return found;
  };
  const expected = [
    "B.json",
    "_SUCCESS",
    "a-1.json",
    "a.json",
    "a/1.json",
    "a_1.json",
    "b.json",
    "é.json",
    "\u{ffff}",
    "\u{10000}",
  ];
  expect(await list("staging/b/")).toEqual(expected.map((name) => `staging/b/${name}`));
  expect(bucket.keys("staging/b/")).toEqual(expected.map((name) => `staging/b/${name}`));
  for (const batch of ["B", "_b", "a", "c", "d"]) await bucket.put(`loaded/${batch}/blood.json`, "[]");
  expect(await list("loaded/", "/")).toEqual(["B", "_b", "a", "c", "d"].map((batch) => `loaded/${batch}/`));
});

test.each([{ origin: "https://example.org" }, { host: "rebound.example.org" }])(
  "refuses a browser: %o",
  async (headers) => {
    const { bucket } = await open();
    await bucket.put("a.json", "[]");
    const status = await new Promise((resolve, reject) => {
      request(`${bucket.endpoint}/${Bucket}/a.json`, { headers }, (response) => resolve(response.resume().statusCode))
        .on("error", reject)
        .end();
    });
    expect(status).toBe(403);
  },
);
