import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { classifyAwsError } from "../core/classify-error.ts";
import { PermanentError } from "../core/errors.ts";
import type { ObjectVersion, UnfinishedUpload } from "../core/objects.ts";
import {
  type BucketAccess,
  bucketOf,
  compareHeads,
  headObject,
  type ObjectHead,
  quoteEtag,
  subjectOf,
} from "./bucket-access.ts";
import { callAws } from "./client-config.ts";
import { hashVersion } from "./object-reader.ts";

/**
 * Moves a version: copies it, verifies the copy, and deletes the source. The code checks every condition of a request
 * beforehand as well: a stand-in may ignore conditions, and S3 does not say which one failed.
 *
 * @throws PermanentError ARCHIVE_CONFLICT if the new key holds other content, S3_MISSING if version and copy are gone
 */
export async function moveVersion(access: BucketAccess, version: ObjectVersion, toKey: string): Promise<void> {
  // a copy onto itself would be verified at once, and then deleted
  if (version.key === toKey) return;
  const source = await findVersion(access, version);
  if (source === null) return requireArchived(access, version, toKey);
  const copy = (await headObject(access, toKey)) ?? (await makeCopy(access, source, toKey));
  const same = compareHeads(source, copy) ?? (await haveSameBytes(access, source, copy));
  if (!same) throw conflict(access, version, toKey);
  await access.crashPoint("before-archive-delete");
  await removeVersion(access, version);
}

/** Deletes exactly this version. Without versioning, an object that has replaced it stays. */
export async function removeVersion(access: BucketAccess, version: ObjectVersion): Promise<void> {
  const { key, versionId, etag } = version;
  if (versionId === null && (await findVersion(access, version)) === null) return;
  const pin = versionId === null ? { IfMatch: quoteEtag(etag) } : { VersionId: versionId };
  try {
    await access.client.send(new DeleteObjectCommand({ ...bucketOf(access), Key: key, ...pin }));
  } catch (error) {
    const fault = classifyAwsError(error, subjectOf(access, key, versionId));
    if (fault?.code === "S3_MISSING" || fault?.code === "S3_CHANGED") return;
    throw fault ?? error;
  }
}

/** The version as it is now; null if it is gone or, without versioning, replaced. */
async function findVersion(access: BucketAccess, { key, versionId, etag }: ObjectVersion): Promise<ObjectHead | null> {
  const found = await headObject(access, key, versionId);
  if (found === null || (versionId === null && found.object.etag !== etag)) return null;
  // keeps the planned version id: without one, later calls would pin the object by its ETag
  return { ...found, object: { ...found.object, versionId } };
}

async function makeCopy(access: BucketAccess, source: ObjectHead, toKey: string): Promise<ObjectHead> {
  const { key, versionId } = source.object;
  try {
    await callAws(subjectOf(access, key, versionId), () => copyObject(access, source, toKey));
  } catch (error) {
    const metCondition = error instanceof PermanentError && error.code === "S3_CHANGED";
    const copy = metCondition ? await headObject(access, toKey) : null;
    // another execution was faster; its copy is verified like any other
    if (copy !== null) return copy;
    throw error;
  }
  const copy = await headObject(access, toKey);
  if (copy !== null) return copy;
  throw new PermanentError("S3_MISSING", `${subjectOf(access, toKey)}: the copy of ${key} is gone; copy it again`);
}

async function haveSameBytes(access: BucketAccess, one: ObjectHead, other: ObjectHead): Promise<boolean> {
  return (await hashVersion(access, one.object)) === (await hashVersion(access, other.object));
}

/** Checks that an earlier try has made the copy of a source that is gone. */
async function requireArchived(access: BucketAccess, version: ObjectVersion, toKey: string): Promise<void> {
  const copy = await headObject(access, toKey);
  if (copy?.object.size === version.size) return;
  if (copy !== null) throw conflict(access, version, toKey);
  const subject = subjectOf(access, version.key, version.versionId);
  const text = `${subject}: gone before it was copied to ${subjectOf(access, toKey)}; restore it, or mark it as archived`;
  throw new PermanentError("S3_MISSING", text, { key: version.key, toKey });
}

function conflict(access: BucketAccess, version: ObjectVersion, toKey: string): PermanentError {
  const subject = subjectOf(access, version.key, version.versionId);
  const text = `${subject}: ${subjectOf(access, toKey)} holds other content; the source stays, move the other object away`;
  return new PermanentError("ARCHIVE_CONFLICT", text, { key: version.key, toKey });
}

/** Never overwrites an object; moveVersion has looked as well, since a stand-in may ignore the condition. */
const onlyNew = { IfNoneMatch: "*" };

/** Copies a version inside the bucket, with its metadata; throws the errors of S3 unclassified. */
async function copyObject(access: BucketAccess, source: ObjectHead, toKey: string): Promise<void> {
  if (source.object.size > access.limits.largestCopyBytes) return copyInParts(access, source, toKey);
  const input = { ...bucketOf(access), ...sourceOf(access, source.object), ...onlyNew, Key: toKey };
  await access.client.send(new CopyObjectCommand(input));
}

/** The source of a copy. It travels in a header, URL-encoded because keys hold any character. */
function sourceOf(access: BucketAccess, { key, versionId, etag }: ObjectVersion) {
  const path = `${access.bucket}/${key}`.split("/").map(encodeURIComponent).join("/");
  const owner = access.bucketOwner === null ? {} : { ExpectedSourceBucketOwner: access.bucketOwner };
  const version = versionId === null ? "" : `?versionId=${encodeURIComponent(versionId)}`;
  return { CopySource: `${path}${version}`, CopySourceIfMatch: quoteEtag(etag), ...owner };
}

/** Checksums of the whole object that S3 can compute from those of its parts. */
const partChecksums = ["CRC64NVME", "CRC32C", "CRC32"] as const;

async function copyInParts(access: BucketAccess, { object, headers }: ObjectHead, toKey: string): Promise<void> {
  // an earlier copy to the same key was killed in the middle, and is never continued
  const unfinished = await listUnfinished(access, toKey);
  for (const upload of unfinished.filter(({ key }) => key === toKey)) await abandonUpload(access, upload);
  const { ContentType, ContentEncoding, ContentLanguage, ContentDisposition, CacheControl, Metadata } = headers;
  const kept = { ContentType, ContentEncoding, ContentLanguage, ContentDisposition, CacheControl, Metadata };
  // the source's own kind, so that both can be compared without reading them; CRC64NVME is the default of S3
  const ChecksumAlgorithm = partChecksums.find((kind) => headers[`Checksum${kind}`]) ?? "CRC64NVME";
  const checksum = { ChecksumAlgorithm, ChecksumType: "FULL_OBJECT" as const };
  const create = { ...bucketOf(access), ...kept, ...checksum, Key: toKey };
  const { UploadId } = await access.client.send(new CreateMultipartUploadCommand(create));
  const target = { ...bucketOf(access), Key: toKey, UploadId };
  try {
    const Parts = await copyParts(access, object, target);
    const complete = { ...target, ...onlyNew, MultipartUpload: { Parts }, ChecksumType: checksum.ChecksumType };
    await access.client.send(new CompleteMultipartUploadCommand(complete));
  } catch (error) {
    // the first error is the one that matters; the bucket's lifecycle rule removes parts that cannot be aborted
    await access.client.send(new AbortMultipartUploadCommand(target)).catch(() => {});
    throw error;
  }
}

const partsAtOnce = 4;
const mostParts = 10_000;

async function copyParts(
  access: BucketAccess,
  source: ObjectVersion,
  target: { Bucket: string; Key: string; UploadId: string | undefined },
) {
  const partBytes = Math.max(access.limits.copyPartBytes, Math.ceil(source.size / mostParts));
  const count = Math.ceil(source.size / partBytes);
  const copyPart = async (index: number) => {
    const last = Math.min((index + 1) * partBytes, source.size) - 1;
    const part = { PartNumber: index + 1, CopySourceRange: `bytes=${index * partBytes}-${last}` };
    const input = { ...target, ...sourceOf(access, source), ...part };
    const { CopyPartResult } = await access.client.send(new UploadPartCopyCommand(input));
    await access.crashPoint("mid-archive-copy");
    return { ...CopyPartResult, PartNumber: part.PartNumber };
  };
  const parts: Awaited<ReturnType<typeof copyPart>>[] = [];
  for (let first = 0; first < count; first += partsAtOnce) {
    const indexes = Array.from({ length: Math.min(partsAtOnce, count - first) }, (_, offset) => first + offset);
    parts.push(...(await Promise.all(indexes.map(copyPart))));
  }
  return parts;
}

/** Copies in parts below a prefix that were neither completed nor given up; at most a page of them. */
export async function listUnfinished(access: BucketAccess, prefix: string): Promise<UnfinishedUpload[]> {
  const page = await callAws(subjectOf(access, prefix), () =>
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
