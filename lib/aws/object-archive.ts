import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { classifyAwsError } from "../core/classify-error.ts";
import { PermanentError } from "../core/errors.ts";
import type { ObjectVersion } from "../core/objects.ts";
import { type BucketAccess, bucketOf, callS3, quoteEtag, subjectOf } from "./bucket-access.ts";
import { copyObject } from "./object-copy.ts";
import { compareHeads, headObject, type ObjectHead } from "./object-head.ts";
import { hashVersion } from "./object-reader.ts";

/**
 * Copies, verifies, deletes. Every condition is also looked at by ourselves before: a stand-in may ignore it, and S3
 * answers a failed one without saying which.
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

/** Deletes exactly this version. Where there are no versions, an object that took its place stays. */
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

/** The version as it is now; null where it is gone or, without versions, replaced. */
async function findVersion(access: BucketAccess, { key, versionId, etag }: ObjectVersion): Promise<ObjectHead | null> {
  const found = await headObject(access, key, versionId);
  if (found === null || (versionId === null && found.object.etag !== etag)) return null;
  // named as it was planned: an unversioned call would pin it by its ETag
  return { ...found, object: { ...found.object, versionId } };
}

async function makeCopy(access: BucketAccess, source: ObjectHead, toKey: string): Promise<ObjectHead> {
  const { key, versionId } = source.object;
  try {
    await callS3(subjectOf(access, key, versionId), () => copyObject(access, source, toKey));
  } catch (error) {
    const metCondition = error instanceof PermanentError && error.code === "S3_CHANGED";
    const copy = metCondition ? await headObject(access, toKey) : null;
    // somebody else was faster; whether it is the same content is judged like any other copy
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

/** The source is gone: that is fine where an earlier try has made the copy. */
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
