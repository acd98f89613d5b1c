import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { ObjectArchive, ObjectStore, ObjectUploads } from "../core/objects.ts";
import type { CrashPointHook } from "../core/ports.ts";
import {
  type BucketAccess,
  type BucketLimits,
  bucketOf,
  defaultLimits,
  quoteEtag,
  subjectOf,
} from "./bucket-access.ts";
import { callAws, type ServiceAddress, toClientConfig } from "./client-config.ts";
import { abandonUpload, listUnfinished, moveVersion, removeVersion } from "./object-archive.ts";
import { listCurrent, listFolders, listKeys, listVersions } from "./object-listing.ts";
import { readText, readVersion } from "./object-reader.ts";

type ObjectStoreOptions = ServiceAddress & {
  readonly bucket: string;
  readonly versioning: boolean;
  /** Account that has to own the bucket; null if that is not checked. */
  readonly bucketOwner: string | null;
  readonly limits?: Partial<BucketLimits>;
  /** @default nothing happens at the crash points */
  readonly crashPoint?: CrashPointHook;
};

export type OpenObjectStore = ObjectStore & ObjectArchive & ObjectUploads & { close(): void };

/** The bucket as the ports of core/objects.ts describe it. Its owner closes it. */
export function openObjectStore(options: ObjectStoreOptions): OpenObjectStore {
  const { bucket, versioning, bucketOwner, endpoint, crashPoint = () => undefined } = options;
  // a stand-in has one address for all buckets
  const client = new S3Client({ ...toClientConfig(options), forcePathStyle: endpoint !== null });
  const limits = { ...defaultLimits, ...options.limits };
  const access = { client, bucket, versioning, bucketOwner, limits, crashPoint };
  return {
    list: (prefix) => (versioning ? listVersions(access, prefix) : listCurrent(access, prefix)),
    folders: (prefix, after) => listFolders(access, prefix, after),
    keys: (prefix, after) => listKeys(access, prefix, after),
    read: (version, fromByte) => readVersion(access, version, fromByte),
    readText: (key, version) => readText(access, key, version),
    write: (key, json, instead) => writeJson(access, key, json, instead),
    move: (version, toKey) => moveVersion(access, version, toKey),
    remove: (version) => removeVersion(access, version),
    unfinished: (prefix) => listUnfinished(access, prefix),
    abandon: (upload) => abandonUpload(access, upload),
    close: () => client.destroy(),
  };
}

async function writeJson(access: BucketAccess, key: string, json: string, instead?: string | null): Promise<void> {
  const object = { ...bucketOf(access), Key: key, Body: json, ContentType: "application/json" };
  const input = { ...object, ...conditionOf(instead) };
  await callAws(subjectOf(access, key), () => access.client.send(new PutObjectCommand(input)));
}

/** The condition of a write: none, only if nothing is there (null), or only in place of the object with this ETag. */
function conditionOf(instead?: string | null) {
  if (instead === undefined) return {};
  return instead === null ? { IfNoneMatch: "*" } : { IfMatch: quoteEtag(instead) };
}
