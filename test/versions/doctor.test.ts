import {
  CreateMultipartUploadCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type OpenBucketDoctor, openBucketDoctor } from "../../lib/aws/aws-facts.ts";
import { createBucket, openS3 } from "./support.ts";

/** The bucket's settings, as a server tells them that has them. (Of EventBridge, moto tells nothing.) */

const place = { region: "us-east-1", endpoint: inject("motoEndpoint") };
let s3: S3Client;
let Bucket: string;
let doctor: OpenBucketDoctor;

beforeAll(async () => {
  s3 = openS3();
  Bucket = await createBucket(s3);
  doctor = openBucketDoctor({ ...place, bucket: Bucket, bucketOwner: null });
});

afterAll(() => {
  doctor.close();
  s3.destroy();
});

test("versions that are kept, and that are kept no longer", async () => {
  expect(await doctor.versioning()).toBe("enabled");
  await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Suspended" } }));
  expect(await doctor.versioning()).toBe("suspended");
});

test("the algorithm of the default encryption", async () => {
  const ApplyServerSideEncryptionByDefault = { SSEAlgorithm: "aws:kms" as const };
  const ServerSideEncryptionConfiguration = { Rules: [{ ApplyServerSideEncryptionByDefault }] };
  expect(await doctor.encryption()).toBeNull();
  await s3.send(new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration }));
  expect(await doctor.encryption()).toBe("aws:kms");
});

test("the lifecycle rules that are in force", async () => {
  expect(await doctor.lifecycle()).toEqual([]);
  const Rules = [
    { ID: "old", Status: "Enabled" as const, Filter: { Prefix: "loaded/" }, Expiration: { Days: 30 } },
    { ID: "off", Status: "Disabled" as const, Filter: { Prefix: "" }, Expiration: { Days: 1 } },
    {
      ID: "parts",
      Status: "Enabled" as const,
      Filter: { Prefix: "" },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
    },
  ];
  await s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }));
  expect(await doctor.lifecycle()).toEqual([
    { id: "old", prefix: "loaded/", expires: true, abortsUploads: false },
    { id: "parts", prefix: "", expires: false, abortsUploads: true },
  ]);
});

test("copies in parts that were begun before a time", async () => {
  await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "loaded/b/blood.json" }));
  const never = new Date(0);
  const later = new Date("2100-01-01");
  expect([await doctor.unfinished(never), await doctor.unfinished(later)]).toEqual([0, 1]);
});

test("a bucket that is there, and one that is not", async () => {
  await doctor.list();
  const other = openBucketDoctor({ ...place, bucket: `${Bucket}-gone`, bucketOwner: null });
  await expect(other.list()).rejects.toMatchObject({ name: "BlockedError", code: "S3_BUCKET" });
  other.close();
});
