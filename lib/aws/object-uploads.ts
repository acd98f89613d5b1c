import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import { classifyAwsError } from "../core/classify-error.ts";
import type { UnfinishedUpload } from "../core/objects.ts";
import { type BucketAccess, bucketOf, callS3, subjectOf } from "./bucket-access.ts";

/** Copies in parts that were begun below a prefix and neither completed nor given up; at most a page of them. */
export async function listUnfinished(access: BucketAccess, prefix: string): Promise<UnfinishedUpload[]> {
  const page = await callS3(subjectOf(access, prefix), () =>
    access.client.send(new ListMultipartUploadsCommand({ ...bucketOf(access), Prefix: prefix })),
  );
  return (page.Uploads ?? []).flatMap(({ Key, UploadId, Initiated }) =>
    Key && UploadId && Initiated ? [{ key: Key, uploadId: UploadId, initiated: Initiated }] : [],
  );
}

export async function abandonUpload(access: BucketAccess, { key, uploadId }: UnfinishedUpload): Promise<void> {
  const input = { ...bucketOf(access), Key: key, UploadId: uploadId };
  try {
    await access.client.send(new AbortMultipartUploadCommand(input));
  } catch (error) {
    if ((error as { name?: unknown }).name === "NoSuchUpload") return;
    throw classifyAwsError(error, subjectOf(access, key)) ?? error;
  }
}
