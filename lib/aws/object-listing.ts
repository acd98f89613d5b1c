import {
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  type ObjectVersion,
} from "@aws-sdk/client-s3";
import type { ListedObject } from "../core/objects.ts";
import { type BucketAccess, bucketOf, subjectOf, unquoteEtag } from "./bucket-access.ts";
import { callAws } from "./client-config.ts";

/** Lists the objects in the bucket. A key that ends in "/" is a folder that the console made, and is left out. */

/** Every version, newest first within a key. Delete markers are left out: below one, no version is the latest. */
export async function* listVersions(access: BucketAccess, prefix: string): AsyncGenerator<ListedObject> {
  let markers = {};
  for (;;) {
    const input = { ...bucketOf(access), Prefix: prefix, EncodingType: "url" as const, ...markers };
    const page: ListObjectVersionsCommandOutput = await callAws(subjectOf(access, prefix), () =>
      access.client.send(new ListObjectVersionsCommand(input)),
    );
    const decode = decoderOf(page);
    for (const listed of page.Versions ?? []) {
      const version = toListed(decode(listed.Key), listed, listed.IsLatest === true);
      if (version) yield version;
    }
    if (!page.IsTruncated || !page.NextKeyMarker) return;
    markers = { KeyMarker: decode(page.NextKeyMarker), VersionIdMarker: page.NextVersionIdMarker };
  }
}

/** The current object of every key, for a bucket without versioning. */
export async function* listCurrent(access: BucketAccess, prefix: string): AsyncGenerator<ListedObject> {
  for await (const page of pagesOf(access, { Prefix: prefix })) {
    const decode = decoderOf(page);
    for (const listed of page.Contents ?? []) {
      const object = toListed(decode(listed.Key), listed, true);
      if (object) yield object;
    }
  }
}

/**
 * The names of the folders directly below a prefix, without prefix and slash, that sort after the named one: "0" is the
 * character after "/", so that the folder itself is not listed again.
 */
export async function* listFolders(access: BucketAccess, prefix: string, after = ""): AsyncGenerator<string> {
  const start = after === "" ? {} : { StartAfter: `${prefix}${after}0` };
  for await (const page of pagesOf(access, { Prefix: prefix, Delimiter: "/", ...start })) {
    const decode = decoderOf(page);
    for (const { Prefix } of page.CommonPrefixes ?? []) yield decode(Prefix).slice(prefix.length, -1);
  }
}

/** One page of the current keys below a prefix that sort after a key. */
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
    const page: ListObjectsV2CommandOutput = await callAws(subjectOf(access, query.Prefix), () =>
      access.client.send(new ListObjectsV2Command(input)),
    );
    yield page;
    if (!page.IsTruncated || !page.NextContinuationToken) return;
    next = { ContinuationToken: page.NextContinuationToken };
  }
}

/**
 * XML cannot hold every character of a key, so S3 is asked to encode them. A stand-in may not do so; its answer then
 * names no encoding.
 */
function decoderOf(page: { readonly EncodingType?: string | undefined }): (text: string | undefined) => string {
  if (page.EncodingType !== "url") return (text = "") => text;
  return (text = "") => decodeURIComponent(text.replaceAll("+", " "));
}

type Listed = Pick<ObjectVersion, "VersionId" | "ETag" | "Size" | "LastModified">;

function toListed(key: string, listed: Listed, isLatest: boolean): ListedObject | null {
  if (key === "" || key.endsWith("/")) return null;
  return {
    key,
    versionId: listed.VersionId ?? null,
    etag: unquoteEtag(listed.ETag),
    size: listed.Size ?? 0,
    lastModified: listed.LastModified ?? new Date(0),
    isLatest,
  };
}
