import { randomBytes } from "node:crypto";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { inject, vi } from "vitest";
import { type ObjectCreatedEvent, toObjectCreatedEvent } from "../../lib/local/object-event.ts";
import { type Flow, type FlowOptions, openFlow, openTestBucket, type TestBucket } from "../support/flow.ts";

/** A version, or a delete marker, of a key. */
export type Listed = {
  readonly key: string;
  readonly versionId: string;
  readonly isLatest: boolean;
  readonly isMarker: boolean;
};

/** A versioned bucket of its own; the intake queue is the local one's. */
export type VersionedBucket = TestBucket & {
  readonly s3: S3Client;
  /** Puts an object, tells the intake, and answers the version that it became. */
  putVersion(key: string, body: string | Uint8Array): Promise<string>;
  /** Everything below a prefix, oldest first within a key, delete markers included. */
  versions(prefix: string): Promise<Listed[]>;
  /** Text of a version; without one, of the current object; null if there is none. */
  textOf(key: string, versionId?: string): Promise<string | null>;
  /** Deletes a version; without one, hides the key behind a delete marker. */
  delete(key: string, versionId?: string): Promise<void>;
  /** Uploads in parts that were begun and neither completed nor aborted. */
  uploads(): Promise<number>;
};

const region = "us-east-1";

/** The client of a test on the versioned stand-in. */
export function openS3(): S3Client {
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  return new S3Client({ endpoint: inject("motoEndpoint"), region, credentials, forcePathStyle: true });
}

export async function createBucket(s3: S3Client): Promise<string> {
  const Bucket = `idhub-${randomBytes(6).toString("hex")}`;
  await s3.send(new CreateBucketCommand({ Bucket }));
  await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }));
  return Bucket;
}

export async function openVersionedBucket(onArrival: (event: ObjectCreatedEvent) => void): Promise<VersionedBucket> {
  const queues = await openTestBucket();
  const s3 = openS3();
  const name = await createBucket(s3);
  const events: ObjectCreatedEvent[] = [];
  const putVersion = async (key: string, body: string | Uint8Array): Promise<string> => {
    const { versionId, etag } = await putObject(s3, { bucket: name, key, body });
    const event = toObjectCreatedEvent({ key, size: Buffer.byteLength(body), etag, reason: "PutObject" }, place(name));
    const versioned = withVersion(event, versionId);
    events.push(versioned);
    onArrival(versioned);
    return versionId;
  };
  const textOf = (key: string, versionId?: string) => readText(s3, { Bucket: name, Key: key, VersionId: versionId });
  return {
    ...queues,
    name,
    region,
    endpoint: inject("motoEndpoint"),
    events,
    variables: { ...queues.variables, ...variablesOf(name) },
    s3,
    put: async (key, body) => void (await putVersion(key, body)),
    get: async (key) => toBytes(await textOf(key)),
    keys: () => {
      throw new Error("a versioned bucket is listed with versions()");
    },
    text: (key) => textOf(key),
    json: async (key) => JSON.parse((await textOf(key)) ?? "null"),
    putVersion,
    textOf,
    versions: (prefix) => listVersions(s3, name, prefix),
    delete: async (Key, VersionId) => void (await s3.send(new DeleteObjectCommand({ Bucket: name, Key, VersionId }))),
    uploads: async () => (await s3.send(new ListMultipartUploadsCommand({ Bucket: name }))).Uploads?.length ?? 0,
    close: async () => {
      s3.destroy();
      await queues.close();
    },
  };
}

const variablesOf = (bucket: string): Record<string, string> => ({
  S3_BUCKET: bucket,
  S3_VERSIONING: "enabled",
  AWS_REGION: region,
  LOCAL_ENDPOINT: inject("motoEndpoint"),
});
const place = (bucket: string) => ({ bucket, region });
const toBytes = (text: string | null): Uint8Array | null => (text === null ? null : new TextEncoder().encode(text));

/** The event as EventBridge sends it for a bucket with versions. */
function withVersion(event: ObjectCreatedEvent, versionId: string): ObjectCreatedEvent {
  const object = { ...event.detail.object, "version-id": versionId };
  return { ...event, detail: { ...event.detail, object } };
}

type Put = { readonly bucket: string; readonly key: string; readonly body: string | Uint8Array };

export async function putObject(
  s3: S3Client,
  { bucket, key, body }: Put,
): Promise<{ versionId: string; etag: string }> {
  const length = { ContentLength: Buffer.byteLength(body) };
  const input = { Bucket: bucket, Key: key, Body: body, ContentType: "application/json", ...length };
  const { VersionId, ETag } = await s3.send(new PutObjectCommand(input));
  if (!VersionId || !ETag) throw new Error(`${key}: expected a version id of a versioned bucket`);
  return { versionId: VersionId, etag: ETag.replaceAll('"', "") };
}

type Named = { readonly Bucket: string; readonly Key: string; readonly VersionId?: string | undefined };

async function readText(s3: S3Client, { Bucket, Key, VersionId }: Named): Promise<string | null> {
  const version = VersionId === undefined ? {} : { VersionId };
  try {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, ...version }));
    return (await Body?.transformToString()) ?? "";
  } catch (error) {
    if (["NoSuchKey", "NoSuchVersion"].includes((error as Error).name)) return null;
    throw error;
  }
}

type Page = Pick<ListObjectVersionsCommandOutput, "Versions" | "DeleteMarkers">;

/** Reads all pages; each has at most a thousand. */
async function listAllVersions(s3: S3Client, place: { Bucket: string; Prefix: string }): Promise<Required<Page>> {
  const all = { Versions: [], DeleteMarkers: [] } as Required<Page>;
  let next: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } | null = {};
  while (next !== null) {
    const page: ListObjectVersionsCommandOutput = await s3.send(new ListObjectVersionsCommand({ ...place, ...next }));
    all.Versions?.push(...(page.Versions ?? []));
    all.DeleteMarkers?.push(...(page.DeleteMarkers ?? []));
    next = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : null;
  }
  return all;
}

export async function listVersions(s3: S3Client, Bucket: string, Prefix: string): Promise<Listed[]> {
  const page = await listAllVersions(s3, { Bucket, Prefix });
  const toListed =
    (isMarker: boolean) =>
    ({ Key = "", VersionId = "", IsLatest, LastModified }: NonNullable<typeof page.DeleteMarkers>[number]) => ({
      key: Key,
      versionId: VersionId,
      isLatest: IsLatest === true,
      isMarker,
      time: LastModified?.getTime() ?? 0,
    });
  const versions = (page.Versions ?? []).map(toListed(false)).reverse();
  const markers = (page.DeleteMarkers ?? []).map(toListed(true)).reverse();
  return [...versions, ...markers]
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.time - b.time))
    .map(({ time, ...listed }) => listed);
}

export type VersionedFlow = Flow & {
  readonly bucket: VersionedBucket;
  /** As `put`, and answers the version that it became. */
  upload(key: string, body: unknown): Promise<string>;
  /** The current keys below a prefix, in order. */
  current(prefix: string): Promise<string[]>;
};

/** The whole loader in this process, on a bucket with versions. */
export async function openVersionedFlow(options: Omit<FlowOptions, "openBucket"> = {}): Promise<VersionedFlow> {
  let bucket: VersionedBucket | undefined;
  const openBucket: typeof openTestBucket = async (onArrival) => {
    bucket = await openVersionedBucket((event) => onArrival?.(event));
    return bucket;
  };
  const flow = await openFlow({ ...options, openBucket });
  if (!bucket) throw new Error("the flow opened no bucket");
  const versioned = bucket;
  return {
    ...flow,
    bucket: versioned,
    upload: (key, body) => versioned.putVersion(key, toBody(body)),
    current: async (prefix) => {
      const listed = await versioned.versions(prefix);
      return listed.filter(({ isLatest, isMarker }) => isLatest && !isMarker).map(({ key }) => key);
    },
  };
}

const toBody = (body: unknown): string | Uint8Array =>
  typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);

/** Records the deletions of some work, in their order, as `<key> <version>`; the requests themselves go through. */
export async function watchS3<Answer>(work: () => Promise<Answer>): Promise<{ answer: Answer; deleted: string[] }> {
  const send = vi.spyOn(S3Client.prototype, "send");
  try {
    const answer = await work();
    const deleted = send.mock.calls.flatMap(([command]) =>
      command instanceof DeleteObjectCommand ? [`${command.input.Key} ${command.input.VersionId}`] : [],
    );
    return { answer, deleted };
  } finally {
    send.mockRestore();
  }
}
