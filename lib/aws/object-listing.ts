import {
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
} from "@aws-sdk/client-s3";
import type { ListedObject } from "../core/objects.ts";
import { type BucketAccess, bucketOf, callS3, subjectOf, unquoteEtag } from "./bucket-access.ts";

/** Lists what is in the bucket. A key that ends in "/" is a folder drawn by the console and no object of ours. */

type Listed = Readonly<Record<"Key" | "ETag" | "VersionId", string | undefined>> & {
  readonly Size?: number | undefined;
  readonly LastModified?: Date | undefined;
};

/** Every version, newest first within a key. A delete marker is none: below it, no version is the latest. */
export async function* listVersions(access: BucketAccess, prefix: string): AsyncGenerator<ListedObject> {
  let markers = {};
  for (;;) {
    const input = { ...bucketOf(access), Prefix: prefix, EncodingType: "url" as const, ...markers };
    const page: ListObjectVersionsCommandOutput = await callS3(subjectOf(access, prefix), () =>
      access.client.send(new ListObjectVersionsCommand(input)),
    );
    const decode = decoderOf(page);
    for (const { Key, ETag, VersionId, Size, LastModified, IsLatest } of page.Versions ?? []) {
      const version = toListed({ Key: decode(Key), ETag, VersionId, Size, LastModified }, IsLatest === true);
      if (version) yield version;
    }
    if (!page.IsTruncated || !page.NextKeyMarker) return;
    markers = { KeyMarker: decode(page.NextKeyMarker), VersionIdMarker: page.NextVersionIdMarker };
  }
}

/** The current objects, for a bucket without versioning. */
export async function* listCurrent(access: BucketAccess, prefix: string): AsyncGenerator<ListedObject> {
  for await (const page of pagesOf(access, { Prefix: prefix })) {
    const decode = decoderOf(page);
    for (const { Key, ETag, Size, LastModified } of page.Contents ?? []) {
      const object = toListed({ Key: decode(Key), ETag, VersionId: undefined, Size, LastModified }, true);
      if (object) yield object;
    }
  }
}

/**
 * The names of the folders directly below a prefix, without prefix and slash, from behind the named one on: "0" comes
 * right behind "/", so that nothing of that folder is listed again.
 */
export async function* listFolders(access: BucketAccess, prefix: string, after = ""): AsyncGenerator<string> {
  const start = after === "" ? {} : { StartAfter: `${prefix}${after}0` };
  for await (const page of pagesOf(access, { Prefix: prefix, Delimiter: "/", ...start })) {
    const decode = decoderOf(page);
    for (const { Prefix } of page.CommonPrefixes ?? []) yield decode(Prefix).slice(prefix.length, -1);
  }
}

/** One page of the current keys below a prefix, from behind a key on. */
export async function listKeys(access: BucketAccess, prefix: string, after: string): Promise<string[]> {
  const start = after === "" ? {} : { StartAfter: after };
  for await (const page of pagesOf(access, { Prefix: prefix, ...start })) {
    const decode = decoderOf(page);
    return (page.Contents ?? []).map(({ Key }) => decode(Key));
  }
  return [];
}

type Query = { readonly Prefix: string; readonly Delimiter?: string; readonly StartAfter?: string };

async function* pagesOf(access: BucketAccess, query: Query): AsyncGenerator<ListObjectsV2CommandOutput> {
  let next: { ContinuationToken?: string } = {};
  for (;;) {
    const input = { ...bucketOf(access), ...query, EncodingType: "url" as const, ...next };
    const page: ListObjectsV2CommandOutput = await callS3(subjectOf(access, query.Prefix), () =>
      access.client.send(new ListObjectsV2Command(input)),
    );
    yield page;
    if (!page.IsTruncated || !page.NextContinuationToken) return;
    next = { ContinuationToken: page.NextContinuationToken };
  }
}

/**
 * XML cannot hold every character of a key, so S3 is asked to encode them; a stand-in may not do so, and then says
 * nothing of an encoding.
 */
function decoderOf(page: { readonly EncodingType?: string | undefined }): (text: string | undefined) => string {
  if (page.EncodingType !== "url") return (text = "") => text;
  return (text = "") => decodeURIComponent(text.replaceAll("+", " "));
}

function toListed(listed: Listed, isLatest: boolean): ListedObject | null {
  const { Key: key, VersionId, ETag, Size, LastModified } = listed;
  if (!key || key.endsWith("/")) return null;
  return {
    key,
    versionId: VersionId ?? null,
    etag: unquoteEtag(ETag),
    size: Size ?? 0,
    lastModified: LastModified ?? new Date(0),
    isLatest,
  };
}
