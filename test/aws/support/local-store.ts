import { S3Client } from "@aws-sdk/client-s3";
import type { BucketLimits } from "../../../lib/aws/bucket-access.ts";
import { type OpenObjectStore, openObjectStore } from "../../../lib/aws/object-store.ts";
import type { ListedObject, ObjectVersion } from "../../../lib/core/objects.ts";
import { openBucket } from "../../../lib/local/bucket.ts";

export const bucketName = "idhub-curated-fragments";
const region = "us-east-1";

/** The store on an S3 stand-in in memory, with a client of its own to prepare and to look. */
export async function openLocalStore(limits: Partial<BucketLimits> = {}) {
  const bucket = await openBucket({ storageDir: null, bucket: bucketName });
  const { endpoint } = bucket;
  const store = openObjectStore({ bucket: bucketName, region, versioning: false, bucketOwner: null, endpoint, limits });
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const close = async (): Promise<void> => {
    store.close();
    s3.destroy();
    await bucket.close();
  };
  return { store, bucket, s3, close };
}

export async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function listAll(store: OpenObjectStore, prefix = ""): Promise<ListedObject[]> {
  return collect(store.list(prefix));
}

export async function findObject(store: OpenObjectStore, key: string): Promise<ListedObject> {
  const found = (await listAll(store, key)).find((object) => object.key === key);
  if (!found) throw new Error(`no object ${key}`);
  return found;
}

export async function readAll(store: OpenObjectStore, version: ObjectVersion, fromByte?: number): Promise<string> {
  const { bytes } = await store.read(version, fromByte);
  return Buffer.concat(await collect(bytes)).toString();
}

/** The code of the error that a promise fails with. */
export async function codeOf(failing: Promise<unknown>): Promise<{ name: string; code: string; message: string }> {
  try {
    await failing;
  } catch (error) {
    const { name, code, message } = error as { name: string; code: string; message: string };
    return { name, code, message };
  }
  throw new Error("expected an error, got none");
}
