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

/** Reads how the bucket is set up; writes nothing. */
export function openBucketDoctor(options: BucketDoctorOptions): OpenBucketDoctor {
  const { bucket, bucketOwner, endpoint } = options;
  const client = new S3Client({ ...toDoctorConfig(options), forcePathStyle: endpoint !== null });
  const where = { Bucket: bucket, ...(bucketOwner === null ? {} : { ExpectedBucketOwner: bucketOwner }) };
  const subject = `s3://${bucket}`;
  /** What is not set has an error of its own instead of an empty answer. */
  const orNull = async <Answer>(unset: string, call: () => Promise<Answer>): Promise<Answer | null> =>
    callS3(subject, () =>
      call().catch((error: unknown) => {
        if ((error as { name?: unknown }).name === unset) return null;
        throw error;
      }),
    );
  return {
    reach: () => reach(() => client.send(new ListObjectsV2Command({ ...where, MaxKeys: 1 })), options),
    async versioning() {
      const { Status } = await callS3(subject, () => client.send(new GetBucketVersioningCommand(where)));
      return Status === "Enabled" ? "enabled" : Status === "Suspended" ? "suspended" : "off";
    },
    async encryption() {
      const found = await orNull("ServerSideEncryptionConfigurationNotFoundError", () =>
        client.send(new GetBucketEncryptionCommand(where)),
      );
      const [rule] = found?.ServerSideEncryptionConfiguration?.Rules ?? [];
      return rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm ?? null;
    },
    async sendsEvents() {
      const found = await callS3(subject, () => client.send(new GetBucketNotificationConfigurationCommand(where)));
      return found.EventBridgeConfiguration !== undefined;
    },
    async lifecycle() {
      const found = await orNull("NoSuchLifecycleConfiguration", () =>
        client.send(new GetBucketLifecycleConfigurationCommand(where)),
      );
      return (found?.Rules ?? []).filter(({ Status }) => Status === "Enabled").map(toRule);
    },
    async unfinished(before) {
      const { Uploads = [] } = await callS3(subject, () => client.send(new ListMultipartUploadsCommand(where)));
      return Uploads.filter(({ Initiated }) => Initiated !== undefined && Initiated < before).length;
    },
    close: () => client.destroy(),
  };
}

/** S3 sends somebody who asks in the wrong region elsewhere, which is none of the faults of a load. */
async function reach(call: () => Promise<unknown>, { bucket, region }: BucketDoctorOptions): Promise<void> {
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
