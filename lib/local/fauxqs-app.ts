import { findPackageJSON } from "node:module";
import { pathToFileURL } from "node:url";
import { type BuildAppOptions, buildApp } from "fauxqs";
import { isLocalRequest } from "./local-request.ts";

/** S3 and SQS as the package fauxqs plays them, made safe and exact enough for the loader. */

type Stores = NonNullable<BuildAppOptions["stores"]>;
type FauxqsApp = ReturnType<typeof buildApp>;

type UploadReason = "PutObject" | "CopyObject" | "CompleteMultipartUpload";
/** An upload that succeeded. `key` is raw, as it was written: not URL-encoded. */
export type Upload = {
  readonly key: string;
  readonly size: number;
  /** In quotes, as S3 shows it in headers. */
  readonly etag: string;
  readonly reason: UploadReason;
};

type FauxqsOptions = {
  /** Folder that keeps objects as files; null keeps them in memory. */
  readonly storageDir: string | null;
  readonly region: string;
  readonly bucket: string;
  /** Called before the uploader receives its answer. */
  readonly onUpload: (upload: Upload) => void;
};

/** Bytes. fauxqs takes 11 MiB; S3 takes 5 GB, and a Buffer holds 4. */
const largestBody = 1024 ** 3;

/**
 * Builds one Fastify app for S3 and SQS, not yet listening. `startFauxqs` would listen on every interface without a
 * password, so the app is built here from the same parts, of which the package exports only one.
 */
export async function buildFauxqs(options: FauxqsOptions): Promise<{ app: FauxqsApp; stores: Stores }> {
  const stores = await openStores(options.storageDir);
  const app = buildApp({ logger: false, defaultRegion: options.region, stores });
  acceptLargeBodies(app);
  stores.s3Store.createBucket(options.bucket);
  app.addHook("onRequest", (request, reply, done) => {
    if (isLocalRequest(request.headers)) done();
    else reply.status(403).send("only programs of this machine are served");
  });
  app.addHook("onSend", (request, reply, _payload, done) => {
    const { bucket, "*": key } = request.params as Record<string, string | undefined>;
    const reason = reply.statusCode === 200 ? reasonOf(request) : null;
    if (reason !== null && bucket === options.bucket && key) {
      const { contentLength, etag } = stores.s3Store.headObject(bucket, key);
      options.onUpload({ key, size: contentLength, etag, reason });
    }
    done();
  });
  return { app, stores };
}

type Request = { readonly method: string; readonly query: unknown; readonly headers: Record<string, unknown> };

function reasonOf({ method, query, headers }: Request): UploadReason | null {
  const parameters = query as Readonly<Record<string, string>>;
  if (method === "POST") return "uploadId" in parameters ? "CompleteMultipartUpload" : null;
  if (method !== "PUT" || "uploadId" in parameters || "lifecycle" in parameters) return null;
  return headers["x-amz-copy-source"] === undefined ? "PutObject" : "CopyObject";
}

async function openStores(storageDir: string | null): Promise<Stores> {
  const [{ S3Store }, { SqsStore }, { SnsStore }, { FileS3Persistence }] = await Promise.all([
    part("s3/s3Store.js"),
    part("sqs/sqsStore.js"),
    part("sns/snsStore.js"),
    part("s3/fileS3Persistence.js"),
  ]);
  const stores = { s3Store: make(S3Store), sqsStore: make(SqsStore), snsStore: make(SnsStore) } as Stores;
  if (storageDir !== null) {
    const files = make(FileS3Persistence, storageDir) as { loadS3(store: unknown): void };
    files.loadS3(stores.s3Store);
    Object.assign(stores.s3Store, { persistence: files });
  }
  sortByBytes(stores.s3Store);
  return stores;
}

/**
 * Replaces the listing of fauxqs, which sorts by the rules of a language and continues after a key by code units: from
 * 1,000 keys on it skips some and shows others twice.
 */
function sortByBytes(store: Stores["s3Store"]): void {
  const listAsItIs = store.listObjects.bind(store);
  store.listObjects = (bucket, options) => {
    const objects = (store as unknown as { buckets: Map<string, Map<string, S3Object>> }).buckets.get(bucket);
    return objects ? listPage(objects.values(), options) : listAsItIs(bucket, options); // throws NoSuchBucket
  };
}

type S3Object = ReturnType<Stores["s3Store"]["headObject"]>;
type Part = Readonly<Record<string, unknown>>;

async function part(path: string): Promise<Part> {
  const root = findPackageJSON("fauxqs", import.meta.url);
  if (!root) throw new Error("LOCAL_S3_MISSING: package fauxqs is not installed; run npm install");
  return (await import(/* @vite-ignore */ new URL(`dist/${path}`, pathToFileURL(root)).href)) as Part;
}

function make(type: unknown, ...args: readonly unknown[]): object {
  if (typeof type === "function") return Reflect.construct(type, [...args]) as object;
  throw new Error("LOCAL_S3_VERSION: this version of fauxqs is not the one that the loader knows (2.4.1)");
}

/** Registers the three parsers of fauxqs again, with a higher limit for object bodies. */
function acceptLargeBodies(app: FauxqsApp): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/x-amz-json-1.0", { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, JSON.parse(String(body)));
    } catch (error) {
      done(error as Error);
    }
  });
  app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(String(body))));
  });
  app.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: largestBody }, (_request, body, done) => {
    done(null, body);
  });
}

type ListObjects = Stores["s3Store"]["listObjects"];

/** One page of a listing, in the order of the keys' bytes, as S3 returns it. */
function listPage(all: Iterable<S3Object>, options: Parameters<ListObjects>[1] = {}): ReturnType<ListObjects> {
  const { prefix = "", delimiter, maxKeys = 1_000 } = options;
  const after = options.startAfter ?? options.marker ?? "";
  const matching = [...all].filter(({ key }) => key.startsWith(prefix) && byteOrder(key, after) > 0);
  const page: ReturnType<ListObjects> = { objects: [], commonPrefixes: [], isTruncated: false };
  for (const object of matching.sort((a, b) => byteOrder(a.key, b.key))) {
    const folder = folderOf(object.key, prefix, delimiter);
    if (folder !== null && (folder === page.commonPrefixes.at(-1) || byteOrder(folder, after) <= 0)) continue;
    if (page.objects.length + page.commonPrefixes.length >= maxKeys) return { ...page, isTruncated: true };
    if (folder === null) page.objects.push(object);
    else page.commonPrefixes.push(folder);
  }
  return page;
}

function folderOf(key: string, prefix: string, delimiter: string | undefined): string | null {
  const end = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
  return end < 0 || !delimiter ? null : key.slice(0, end + delimiter.length);
}

const surrogate = /[\ud800-\udfff]/;

/** Compares by bytes of UTF-8. Code units sort alike, except the surrogates of characters beyond the basic plane. */
function byteOrder(a: string, b: string): number {
  if (surrogate.test(a) || surrogate.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}
