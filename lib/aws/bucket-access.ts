import { HeadObjectCommand, type HeadObjectCommandOutput, type S3Client } from "@aws-sdk/client-s3";
import { classifyAwsError } from "../core/classify-error.ts";
import type { ObjectVersion } from "../core/objects.ts";
import type { CrashPointHook } from "../core/ports.ts";

/** The bucket as every call needs it, and the pieces of a call: owner, version pin, head, and checksums. */

export type BucketAccess = {
  readonly client: S3Client;
  readonly bucket: string;
  readonly versioning: boolean;
  /** Account that has to own the bucket; null if that is not checked. */
  readonly bucketOwner: string | null;
  readonly limits: BucketLimits;
  readonly crashPoint: CrashPointHook;
};

export type BucketLimits = {
  /** Time that a body may send nothing. @default 30,000 */
  readonly idleMilliseconds: number;
  /** Size above which an object is copied in parts. @default 5 GiB, the most that S3 copies in one call */
  readonly largestCopyBytes: number;
  /** @default 512 MiB */
  readonly copyPartBytes: number;
};

export const defaultLimits: BucketLimits = {
  idleMilliseconds: 30_000,
  largestCopyBytes: 5 * 1024 ** 3,
  copyPartBytes: 512 * 1024 ** 2,
};

/** Bucket and its expected owner: S3 refuses the call if another account has created a bucket under the old name. */
export function bucketOf({ bucket, bucketOwner }: Pick<BucketAccess, "bucket" | "bucketOwner">) {
  return { Bucket: bucket, ...(bucketOwner === null ? {} : { ExpectedBucketOwner: bucketOwner }) };
}

/** `s3://bucket/key version v`, for messages. */
export function subjectOf({ bucket }: BucketAccess, key: string, versionId: string | null = null): string {
  return versionId === null ? `s3://${bucket}/${key}` : `s3://${bucket}/${key} version ${versionId}`;
}

/** Parameters that make a read answer exactly this version: its id, or the ETag if the bucket keeps no versions. */
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

/** An object without its body, as S3 describes it. */
export type ObjectHead = { readonly object: ObjectVersion; readonly headers: HeadObjectCommandOutput };

/** Reads a version, or the current object of a key, without its body; null if there is none. */
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

/** Checksums that S3 keeps beside an object, the strongest first. */
const checksumMembers = [
  "ChecksumSHA512",
  "ChecksumSHA256",
  "ChecksumSHA1",
  "ChecksumCRC64NVME",
  "ChecksumCRC32C",
  "ChecksumCRC32",
] as const;

/**
 * Compares the bytes of two objects by what S3 keeps about them; null if only reading them would tell. ETags that
 * differ prove nothing, since they depend on parts and encryption.
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

/** The checksum of the content; null for a checksum of checksums ("…-3"), which depends on the parts. */
function wholeChecksum({ headers }: ObjectHead, member: (typeof checksumMembers)[number]): string | null {
  const value = headers[member];
  return value && headers.ChecksumType !== "COMPOSITE" && !/-\d+$/.test(value) ? value : null;
}
