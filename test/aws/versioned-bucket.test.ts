import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  S3Client,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, describe, expect, test } from "vitest";
import { openObjectStore } from "../../lib/aws/object-store.ts";
import type { ObjectVersion } from "../../lib/core/objects.ts";
import { codeOf, listAll } from "./support/local-store.ts";

const s3 = mockClient(S3Client);
beforeEach(() => s3.reset());

const Bucket = "idhub-curated-fragments";
const store = openObjectStore({
  bucket: Bucket,
  region: "us-east-1",
  versioning: true,
  bucketOwner: "123456789012",
  endpoint: null,
  limits: { largestCopyBytes: 100, copyPartBytes: 40 },
});
const Key = "staging/validated/b/blood +é.json";
const version: ObjectVersion = { key: Key, versionId: "v1", etag: "e1", size: 10, lastModified: new Date(0) };
const toKey = "loaded/b/blood.json";

const fails = (name: string, httpStatusCode: number) =>
  Object.assign(new Error(name), { name, $metadata: { httpStatusCode } });
const notFound = fails("NotFound", 404);
const heads = (source: object, ...copies: (object | Error)[]): void => {
  s3.on(HeadObjectCommand, { Key, VersionId: "v1" }).resolves(source);
  const copy = s3.on(HeadObjectCommand, { Key: toKey });
  for (const answer of copies) {
    if (answer instanceof Error) copy.rejectsOnce(answer);
    else copy.resolvesOnce(answer);
  }
};
const kms = { ContentLength: 10, ETag: '"e1"', VersionId: "v1" };

describe("list", () => {
  test("gives all versions over all pages; below a delete marker none is the latest", async () => {
    const item = (key: string, id: string, IsLatest: boolean) => ({
      Key: key,
      VersionId: id,
      ETag: `"${id}"`,
      Size: 1,
      IsLatest,
    });
    s3.on(ListObjectVersionsCommand, { KeyMarker: undefined }).resolves({
      EncodingType: "url",
      IsTruncated: true,
      NextKeyMarker: "p/a+%2B%C3%A9.json",
      NextVersionIdMarker: "v2",
      Versions: [item("p/", "v0", true), item("p/a+%2B%C3%A9.json", "v2", true)],
    });
    s3.on(ListObjectVersionsCommand, { KeyMarker: "p/a +é.json", VersionIdMarker: "v2" }).resolves({
      EncodingType: "url",
      Versions: [item("p/a+%2B%C3%A9.json", "v1", false), item("p/gone.json", "v3", false)],
      DeleteMarkers: [{ Key: "p/gone.json", VersionId: "v4", IsLatest: true }],
    });
    const listed = (await listAll(store, "p/")).map(({ key, versionId, isLatest }) => [key, versionId, isLatest]);
    expect(listed).toEqual([
      ["p/a +é.json", "v2", true],
      ["p/a +é.json", "v1", false],
      ["p/gone.json", "v3", false],
    ]);
  });
});

describe("move", () => {
  test("copies, compares checksums where encryption makes ETags differ, deletes exactly the version", async () => {
    const sum = { ChecksumCRC64NVME: "abc=", ChecksumType: "FULL_OBJECT" as const };
    heads({ ...kms, ...sum }, notFound, { ...kms, ...sum, ETag: '"other"' });
    s3.on(CopyObjectCommand).resolves({});
    s3.on(DeleteObjectCommand).resolves({});
    await store.move(version, toKey);
    expect(s3.commandCalls(CopyObjectCommand)[0]?.args[0].input).toEqual({
      Bucket,
      Key: toKey,
      CopySource: `${Bucket}/staging/validated/b/blood%20%2B%C3%A9.json?versionId=v1`,
      CopySourceIfMatch: '"e1"',
      IfNoneMatch: "*",
      ExpectedBucketOwner: "123456789012",
      ExpectedSourceBucketOwner: "123456789012",
    });
    expect(s3.commandCalls(DeleteObjectCommand)[0]?.args[0].input).toMatchObject({ Key, VersionId: "v1" });
    expect(s3.commandCalls(GetObjectCommand)).toEqual([]);
  });

  test("does not delete where the checksums differ", async () => {
    heads({ ...kms, ChecksumCRC32: "a" }, { ...kms, ETag: '"other"', ChecksumCRC32: "b" });
    expect(await codeOf(store.move(version, toKey))).toMatchObject({ code: "ARCHIVE_CONFLICT" });
    expect(s3.commandCalls(DeleteObjectCommand)).toEqual([]);
  });

  test("judges the copy of somebody who was faster like its own", async () => {
    heads(kms, notFound, kms);
    s3.on(CopyObjectCommand).rejects(fails("PreconditionFailed", 412));
    s3.on(DeleteObjectCommand).resolves({});
    await store.move(version, toKey);
    expect(s3.commandCalls(DeleteObjectCommand)).toHaveLength(1);
  });

  test("fails where the source changed while it was copied", async () => {
    heads(kms, notFound, notFound);
    s3.on(CopyObjectCommand).rejects(fails("PreconditionFailed", 412));
    expect(await codeOf(store.move(version, toKey))).toMatchObject({ name: "PermanentError", code: "S3_CHANGED" });
  });

  test("is blocked, and deletes nothing, where it may not write", async () => {
    heads(kms, notFound);
    s3.on(CopyObjectCommand).rejects(fails("AccessDenied", 403));
    expect(await codeOf(store.move(version, toKey))).toMatchObject({ name: "BlockedError", code: "S3_ACCESS" });
    expect(s3.commandCalls(DeleteObjectCommand)).toEqual([]);
  });

  test("aborts a copy in parts that fails, and throws its first error", async () => {
    heads({ ...kms, ContentLength: 101, ContentEncoding: "gzip" }, notFound);
    s3.on(ListMultipartUploadsCommand).resolves({});
    s3.on(CreateMultipartUploadCommand).resolves({ UploadId: "u" });
    s3.on(UploadPartCopyCommand).resolves({ CopyPartResult: { ETag: '"p"' } });
    s3.on(UploadPartCopyCommand, { PartNumber: 3 }).rejects(fails("InternalError", 500));
    s3.on(AbortMultipartUploadCommand).rejects(fails("InternalError", 500));
    const fault = await codeOf(store.move({ ...version, size: 101 }, toKey));
    expect(fault).toMatchObject({ name: "TransientError", code: "AWS_UNAVAILABLE" });
    const ranges = s3.commandCalls(UploadPartCopyCommand).map(({ args }) => args[0].input.CopySourceRange);
    expect(ranges).toEqual(["bytes=0-39", "bytes=40-79", "bytes=80-100"]);
    expect(s3.commandCalls(AbortMultipartUploadCommand)).toHaveLength(1);
    const created = s3.commandCalls(CreateMultipartUploadCommand)[0]?.args[0].input;
    expect(created).toMatchObject({ ContentEncoding: "gzip", ChecksumAlgorithm: "CRC64NVME" });
  });
});

test("gives up what was begun; an upload that has ended already is fine", async () => {
  const upload = { key: toKey, uploadId: "u", initiated: new Date(0) };
  s3.on(ListMultipartUploadsCommand).resolves({
    Uploads: [{ Key: upload.key, UploadId: upload.uploadId, Initiated: upload.initiated }],
  });
  expect(await store.unfinished("loaded/")).toEqual([upload]);
  expect(s3.commandCalls(ListMultipartUploadsCommand)[0]?.args[0].input).toMatchObject({ Prefix: "loaded/" });
  s3.on(AbortMultipartUploadCommand).rejects(fails("NoSuchUpload", 404));
  await store.abandon(upload);
  expect(s3.commandCalls(AbortMultipartUploadCommand)[0]?.args[0].input).toMatchObject({ Key: toKey, UploadId: "u" });
  s3.on(AbortMultipartUploadCommand).rejects(fails("AccessDenied", 403));
  expect(await codeOf(store.abandon(upload))).toMatchObject({ code: "S3_ACCESS" });
});

test("a copy in parts that somebody else gave up is copied again", async () => {
  heads({ ...kms, ContentLength: 101 }, notFound);
  s3.on(ListMultipartUploadsCommand).resolves({});
  s3.on(CreateMultipartUploadCommand).resolves({ UploadId: "u" });
  s3.on(UploadPartCopyCommand).rejects(fails("NoSuchUpload", 404));
  s3.on(AbortMultipartUploadCommand).resolves({});
  const fault = await codeOf(store.move({ ...version, size: 101 }, toKey));
  expect(fault).toMatchObject({ name: "TransientError", code: "S3_UPLOAD_GONE" });
});

test("remove deletes by version, and one that is gone is fine", async () => {
  s3.on(DeleteObjectCommand).rejects(fails("NoSuchVersion", 404));
  await store.remove(version);
  expect(s3.commandCalls(DeleteObjectCommand)[0]?.args[0].input).toMatchObject({ Key, VersionId: "v1" });
  s3.on(DeleteObjectCommand).rejects(fails("AccessDenied", 403));
  expect(await codeOf(store.remove(version))).toMatchObject({ code: "S3_ACCESS" });
});
