import { HeadObjectCommand, type HeadObjectCommandOutput, type S3Client } from "@aws-sdk/client-s3";
import { classifyAwsError } from "../core/classify-error.ts";
import type { ObjectVersion } from "../core/objects.ts";
import type { CrashPointHook } from "../core/ports.ts";

/** What every call to the bucket needs. */
export type BucketAccess = {
  readonly client: S3Client;
  readonly bucket: string;
  readonly versioning: boolean;
  /** Account that has to own the bucket; null where that is not checked. */
  readonly bucketOwner: string | null;
  readonly limits: BucketLimits;
  readonly crashPoint: CrashPointHook;
};

export type BucketLimits = {
  /** How long a body may send nothing. @default 30,000 */
  readonly idleMilliseconds: number;
  /** Greater objects are copied in parts. @default 5 GB, the most that S3 copies in one call */
  readonly largestCopyBytes: number;
  /** @default 512 MiB */
  readonly copyPartBytes: number;
};

export const defaultLimits: BucketLimits = {
  idleMilliseconds: 30_000,
  largestCopyBytes: 5 * 1024 ** 3,
  copyPartBytes: 512 * 1024 ** 2,
};

/** Bucket and its expected owner: a bucket that a stranger made anew under the old name is refused by S3. */
export function bucketOf({ bucket, bucketOwner }: BucketAccess) {
  return { Bucket: bucket, ...(bucketOwner === null ? {} : { ExpectedBucketOwner: bucketOwner }) };
}

/** `s3://bucket/key version v`, for messages. */
export function subjectOf({ bucket }: BucketAccess, key: string, versionId: string | null = null): string {
  return versionId === null ? `s3://${bucket}/${key}` : `s3://${bucket}/${key} version ${versionId}`;
}

/** What names exactly this version in a call that reads: its id, or the ETag where there are no versions. */
export function pinOf(version: ObjectVersion) {
  const { key: Key, versionId, etag } = version;
  return versionId === null ? { Key, IfMatch: quoteEtag(etag) } : { Key, VersionId: versionId };
}

export function quoteEtag(etag: string): string {
  return `"${etag}"`;
}

export function unquoteEtag(etag: string | undefined): string {
  return (etag ?? "").replaceAll('"', "");
}

/** Runs a call and says of its failure what it means. */
export async function callS3<Answer>(subject: string, call: () => Promise<Answer>): Promise<Answer> {
  try {
    return await call();
  } catch (error) {
    throw classifyAwsError(error, subject) ?? error;
  }
}

/** What S3 tells of an object without its body. */
export type ObjectHead = { readonly object: ObjectVersion; readonly headers: HeadObjectCommandOutput };

/** A version, or the current object of a key; null where there is none. */
export async function headObject(
  access: BucketAccess,
  key: string,
  versionId: string | null = null,
): Promise<ObjectHead | null> {
  const version = versionId === null ? {} : { VersionId: versionId };
  const input = { ...bucketOf(access), Key: key, ...version, ChecksumMode: "ENABLED" as const };
  try {
    const headers = await access.client.send(new HeadObjectCommand(input));
    return { object: toVersion(access, key, headers), headers };
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404) return null;
    throw classifyAwsError(error, subjectOf(access, key, versionId)) ?? error;
  }
}

function toVersion(access: BucketAccess, key: string, headers: HeadObjectCommandOutput): ObjectVersion {
  return {
    key,
    versionId: access.versioning ? (headers.VersionId ?? null) : null,
    etag: unquoteEtag(headers.ETag),
    size: headers.ContentLength ?? 0,
    lastModified: headers.LastModified ?? new Date(0),
  };
}

/** The best first: whole-object checksums that S3 keeps beside an object. */
const checksumMembers = [
  "ChecksumSHA512",
  "ChecksumSHA256",
  "ChecksumSHA1",
  "ChecksumCRC64NVME",
  "ChecksumCRC32C",
  "ChecksumCRC32",
] as const;

/**
 * Whether two objects hold the same bytes, as far as S3 tells: null where only reading them would. Different ETags say
 * nothing, since they depend on parts and encryption.
 */
export function compareHeads(one: ObjectHead, other: ObjectHead): boolean | null {
  if (one.object.size !== other.object.size) return false;
  if (one.object.etag === other.object.etag) return true;
  for (const member of checksumMembers) {
    const [a, b] = [wholeChecksum(one, member), wholeChecksum(other, member)];
    if (a !== null && b !== null) return a === b;
  }
  return null;
}

/** A checksum of checksums ("…-3") depends on the parts, so it is none of the content. */
function wholeChecksum({ headers }: ObjectHead, member: (typeof checksumMembers)[number]): string | null {
  const value = headers[member];
  return value && headers.ChecksumType !== "COMPOSITE" && !/-\d+$/.test(value) ? value : null;
}
