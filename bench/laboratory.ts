import { join } from "node:path";
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { HandlerName } from "../lib/infra/capacity.ts";
import { type LocalPostgres, openPostgres } from "../lib/local/postgres.ts";
import { type Bundle, bundleHandlers } from "./bundles.ts";
import { openChild } from "./child.ts";
import { openTemplate } from "./database.ts";

/** The folder that a program may fill, and the stack that closes everything it opens, in the reverse order. */
export type Workspace = { readonly folder: string; readonly stack: AsyncDisposableStack };

/** Everything that measured programs use: a server, a bucket, the bundles, a folder. */
export type Laboratory = {
  readonly folder: string;
  readonly server: LocalPostgres;
  readonly bucket: Bucket;
  readonly bundles: ReadonlyMap<HandlerName, Bundle>;
  /** Flags of Node for every function. */
  readonly nodeFlags: readonly string[];
  /** Passes the server's log to a watcher until the answer is called. */
  watchLog(watcher: (text: string) => void): () => void;
};

/** The bucket as its writers see it: the benchmarks stand in for the validator. */
export type Bucket = {
  readonly endpoint: string;
  readonly name: string;
  put(key: string, body: string): Promise<void>;
  /** Writes text of any length as one object, in parts. Answers its bytes. */
  upload(key: string, text: Iterable<string>): Promise<number>;
  copy(from: string, to: string): Promise<void>;
  /** Deletes everything below a prefix. */
  clear(prefix: string): Promise<void>;
  close(): void;
};

export async function openLaboratory({ folder, stack }: Workspace, nodeFlags: readonly string[]): Promise<Laboratory> {
  const watchers = new Set<(text: string) => void>();
  const log = (text: string): void => {
    for (const watcher of watchers) watcher(text);
  };
  const server = await own(stack, await openPostgres({ dataDir: join(folder, "postgres"), log }));
  await openTemplate(server);
  const bucket = await openBucketProcess(stack, join(folder, "s3"));
  const bundles = await bundleHandlers(join(folder, "bundles"));
  const watchLog = (watcher: (text: string) => void): (() => void) => {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  };
  return { folder, server, bucket, bundles, nodeFlags, watchLog };
}

/** Gives a part to the stack; an interrupt while it was being opened has closed the others already. */
async function own<T extends { close(): Promise<void> | void }>(stack: AsyncDisposableStack, part: T): Promise<T> {
  if (stack.disposed) {
    await part.close();
    throw new Error("the bench was interrupted");
  }
  stack.defer(() => part.close());
  return part;
}

const bucketName = "idhub-curated-fragments";

async function openBucketProcess(stack: AsyncDisposableStack, storageDir: string): Promise<Bucket> {
  const args = [storageDir, bucketName];
  const child = await own(stack, await openChild<{ endpoint: string }>({ file: "bucket-process.ts", args }));
  return own(stack, openBucket(child.hello.endpoint));
}

function openBucket(endpoint: string): Bucket {
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
  const at = (key: string): Address => ({ Bucket: bucketName, Key: key });
  return {
    endpoint,
    name: bucketName,
    put: (key, body) => put(client, at(key), Buffer.from(body)),
    upload: (key, text) => upload(client, at(key), text),
    copy: async (from, to) =>
      void (await client.send(new CopyObjectCommand({ ...at(to), CopySource: `${bucketName}/${from}` }))),
    clear: (prefix) => clear(client, prefix),
    close: () => client.destroy(),
  };
}

type Address = { readonly Bucket: string; readonly Key: string };

/** Sends the length along, which the SDK does not see in an empty body. */
async function put(client: S3Client, address: Address, body: Buffer): Promise<void> {
  await client.send(new PutObjectCommand({ ...address, Body: body, ContentLength: body.length }));
}

async function upload(client: S3Client, address: Address, text: Iterable<string>): Promise<number> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(address));
  const parts: { PartNumber: number; ETag: string | undefined }[] = [];
  let bytes = 0;
  for (const body of bodiesOf(text)) {
    const PartNumber = parts.length + 1;
    const { ETag } = await client.send(new UploadPartCommand({ ...address, UploadId, PartNumber, Body: body }));
    parts.push({ PartNumber, ETag });
    bytes += body.length;
  }
  await client.send(new CompleteMultipartUploadCommand({ ...address, UploadId, MultipartUpload: { Parts: parts } }));
  return bytes;
}

/** The local S3 refuses single bodies of about 200 MB; S3 wants parts of 5 MB at least. */
const partBytes = 32 * 1024 * 1024;

function* bodiesOf(text: Iterable<string>): Generator<Buffer> {
  let chunks: Buffer[] = [];
  let bytes = 0;
  for (const piece of text) {
    const chunk = Buffer.from(piece);
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes < partBytes) continue;
    yield Buffer.concat(chunks);
    chunks = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(chunks);
}

async function clear(client: S3Client, prefix: string): Promise<void> {
  for (;;) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucketName, Prefix: prefix }));
    if (Contents.length === 0) return;
    const keys = Contents.map(({ Key }) => ({ Key }));
    await client.send(new DeleteObjectsCommand({ Bucket: bucketName, Delete: { Objects: keys } }));
  }
}
