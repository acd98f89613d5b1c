import {
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketVersioningCommand,
  type LifecycleRule as GivenRule,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from "@aws-sdk/client-s3";
import type { BucketDoctor, LifecycleRule } from "../core/doctor.ts";
import { BlockedError } from "../core/errors.ts";
import { callS3 } from "./bucket-access.ts";
import type { ServiceAddress } from "./client-config.ts";
import { toDoctorConfig } from "./doctor-config.ts";

export type BucketDoctorOptions = ServiceAddress & { readonly bucket: string; readonly bucketOwner: string | null };
export type OpenBucketDoctor = BucketDoctor & { close(): void };

type Asking = { readonly client: S3Client; readonly where: Where; readonly subject: string };
type Where = { readonly Bucket: string; readonly ExpectedBucketOwner?: string };

/** Reads how the bucket is set up; writes nothing. */
export function openBucketDoctor(options: BucketDoctorOptions): OpenBucketDoctor {
  const { bucket, bucketOwner, endpoint } = options;
  const client = new S3Client({ ...toDoctorConfig(options), forcePathStyle: endpoint !== null });
  const where = { Bucket: bucket, ...(bucketOwner === null ? {} : { ExpectedBucketOwner: bucketOwner }) };
  const asking: Asking = { client, where, subject: `s3://${bucket}` };
  return {
    crashPoint: () => crashPoint(() => client.send(new ListObjectsV2Command({ ...where, MaxKeys: 1 })), options),
    versioning: () => readVersioning(asking),
    encryption: () => readEncryption(asking),
    sendsEvents: () => readEvents(asking),
    lifecycle: () => readLifecycle(asking),
    unfinished: (before) => countUnfinished(asking, before),
    close: () => client.destroy(),
  };
}

async function readVersioning({ client, where, subject }: Asking): Promise<"enabled" | "suspended" | "off"> {
  const { Status } = await callS3(subject, () => client.send(new GetBucketVersioningCommand(where)));
  if (Status === undefined) return "off";
  return Status === "Enabled" ? "enabled" : "suspended";
}

async function readEncryption({ client, where, subject }: Asking): Promise<string | null> {
  const unset = "ServerSideEncryptionConfigurationNotFoundError";
  const found = await callS3(subject, () => orNull(unset, client.send(new GetBucketEncryptionCommand(where))));
  const [rule] = found?.ServerSideEncryptionConfiguration?.Rules ?? [];
  return rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm ?? null;
}

async function readEvents({ client, where, subject }: Asking): Promise<boolean> {
  const found = await callS3(subject, () => client.send(new GetBucketNotificationConfigurationCommand(where)));
  return found.EventBridgeConfiguration !== undefined;
}

async function readLifecycle({ client, where, subject }: Asking): Promise<LifecycleRule[]> {
  const asked = () => client.send(new GetBucketLifecycleConfigurationCommand(where));
  const found = await callS3(subject, () => orNull("NoSuchLifecycleConfiguration", asked()));
  return (found?.Rules ?? []).filter(({ Status }) => Status === "Enabled").map(toRule);
}

async function countUnfinished({ client, where, subject }: Asking, before: Date): Promise<number> {
  const { Uploads = [] } = await callS3(subject, () => client.send(new ListMultipartUploadsCommand(where)));
  return Uploads.filter(({ Initiated }) => Initiated !== undefined && Initiated < before).length;
}

/** What is not set has an error of its own instead of an empty answer. */
async function orNull<Answer>(unset: string, asked: Promise<Answer>): Promise<Answer | null> {
  try {
    return await asked;
  } catch (error) {
    if ((error as { name?: unknown }).name === unset) return null;
    throw error;
  }
}

/** S3 sends somebody who asks in the wrong region elsewhere, which is none of the faults of a load. */
async function crashPoint(call: () => Promise<unknown>, { bucket, region }: BucketDoctorOptions): Promise<void> {
  await callS3(`s3://${bucket}`, () =>
    call().catch((error: unknown) => {
      if ((error as { name?: unknown }).name !== "PermanentRedirect") throw error;
      throw new BlockedError("S3_BUCKET", `s3://${bucket} lies in another region than ${region}; set AWS_REGION`);
    }),
  );
}

function toRule({ ID, Prefix, Filter, Expiration, AbortIncompleteMultipartUpload }: GivenRule): LifecycleRule {
  return {
    id: ID ?? "",
    prefix: Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? "",
    expires: Expiration?.Days !== undefined || Expiration?.Date !== undefined,
    abortsUploads: AbortIncompleteMultipartUpload?.DaysAfterInitiation !== undefined,
  };
}
