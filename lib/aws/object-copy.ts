import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import type { ObjectVersion } from "../core/objects.ts";
import { type BucketAccess, bucketOf, quoteEtag } from "./bucket-access.ts";
import type { ObjectHead } from "./object-head.ts";
import { abandonUpload, listUnfinished } from "./object-uploads.ts";

/** Never over an object that is there already; a stand-in may not know the condition, so the caller has looked, too. */
const onlyNew = { IfNoneMatch: "*" };

/** Copies a version inside the bucket, with its metadata; throws what S3 threw. */
export async function copyObject(access: BucketAccess, source: ObjectHead, toKey: string): Promise<void> {
  if (source.object.size > access.limits.largestCopyBytes) return copyInParts(access, source, toKey);
  const input = { ...bucketOf(access), ...sourceOf(access, source.object), ...onlyNew, Key: toKey };
  await access.client.send(new CopyObjectCommand(input));
}

/** The version in a header: URL-encoded, since keys hold any character. */
function sourceOf(access: BucketAccess, { key, versionId, etag }: ObjectVersion) {
  const path = `${access.bucket}/${key}`.split("/").map(encodeURIComponent).join("/");
  const owner = access.bucketOwner === null ? {} : { ExpectedSourceBucketOwner: access.bucketOwner };
  const version = versionId === null ? "" : `?versionId=${encodeURIComponent(versionId)}`;
  return { CopySource: `${path}${version}`, CopySourceIfMatch: quoteEtag(etag), ...owner };
}

type Upload = {
  readonly source: ObjectVersion;
  readonly target: { Bucket: string; Key: string; UploadId: string | undefined };
};

/** The kinds that S3 can give to a whole object that was put together from parts. */
const partChecksums = ["CRC64NVME", "CRC32C", "CRC32"] as const;

/** What somebody began for the same key is given up: who was killed in the middle of it does not go on. */
async function abandonEarlier(access: BucketAccess, toKey: string): Promise<void> {
  const unfinished = await listUnfinished(access, toKey);
  for (const upload of unfinished.filter(({ key }) => key === toKey)) await abandonUpload(access, upload);
}

async function copyInParts(access: BucketAccess, { object, headers }: ObjectHead, toKey: string): Promise<void> {
  await abandonEarlier(access, toKey);
  const { ContentType, ContentEncoding, ContentLanguage, ContentDisposition, CacheControl, Metadata } = headers;
  const kept = { ContentType, ContentEncoding, ContentLanguage, ContentDisposition, CacheControl, Metadata };
  // the source's own kind, so that both can be compared without reading them; S3 gives CRC64NVME by itself
  const ChecksumAlgorithm = partChecksums.find((kind) => headers[`Checksum${kind}`]) ?? "CRC64NVME";
  const checksum = { ChecksumAlgorithm, ChecksumType: "FULL_OBJECT" as const };
  const create = { ...bucketOf(access), ...kept, ...checksum, Key: toKey };
  const { UploadId } = await access.client.send(new CreateMultipartUploadCommand(create));
  const target = { ...bucketOf(access), Key: toKey, UploadId };
  try {
    const Parts = await copyParts(access, { source: object, target });
    const complete = { ...target, ...onlyNew, MultipartUpload: { Parts }, ChecksumType: checksum.ChecksumType };
    await access.client.send(new CompleteMultipartUploadCommand(complete));
  } catch (error) {
    // the first error is the one that matters; what cannot be aborted, the bucket's lifecycle rule removes
    await access.client.send(new AbortMultipartUploadCommand(target)).catch(() => {});
    throw error;
  }
}

const partsAtOnce = 4;
const mostParts = 10_000;

async function copyParts(access: BucketAccess, { source, target }: Upload) {
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
