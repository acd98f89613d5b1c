import { pipeline, Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createZstdDecompress } from "node:zlib";
import { LoaderError } from "../core/errors.ts";
import type { ObjectStore, ObjectVersion } from "../core/objects.ts";
import type { ReadLimits } from "./limits.ts";
import { objectFault } from "./object-faults.ts";

export type BodySource = { readonly store: Pick<ObjectStore, "read">; readonly version: ObjectVersion };
export type Compression = "gzip" | "zstd" | "br";
export type FragmentBody = { readonly chunks: AsyncIterable<Uint8Array>; readonly compression: Compression | null };

/** So many bytes at the head of an object tell its compression. */
const magicBytes = 4;

/** The decoded bytes of an object, from the first. */
export async function openBody(source: BodySource): Promise<FragmentBody> {
  const { store, version } = source;
  const { bytes, contentEncoding } = await store.read(version);
  const { taken, rest } = await readHead(bytes);
  try {
    const compression = findCompression(Buffer.concat(taken), contentEncoding, version.key);
    const chunks = chain(taken, rest);
    return { compression, chunks: compression === null ? chunks : decode(source, compression, chunks) };
  } catch (error) {
    await rest.return?.();
    throw error;
  }
}

async function readHead(source: AsyncIterable<Uint8Array>) {
  const rest = source[Symbol.asyncIterator]();
  const taken: Uint8Array[] = [];
  for (let length = 0; length < magicBytes; ) {
    const next = await rest.next();
    if (next.done) break;
    taken.push(next.value);
    length += next.value.length;
  }
  return { taken, rest };
}

async function* chain(taken: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>) {
  try {
    yield* taken;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

/** How an object is compressed. Magic bytes decide (brotli has none); a header that contradicts them is refused. */
function findCompression(head: Uint8Array, header: string | null, key: string): Compression | null {
  const named = parseHeader(header, key);
  if (head.length === 0) return null;
  const seen = magicOf(head);
  if (named === null || named === seen) return seen;
  if (named === "br") return named;
  const text = `Content-Encoding says ${named}, but the bytes are ${seen ?? `not ${named}`}; store it with the header that fits`;
  throw objectFault("S3_CONTENT_ENCODING", key, { text });
}

const namedCompressions: Readonly<Record<string, Compression>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  zstd: "zstd",
  br: "br",
};
/** Values that tell no compression: `aws-chunked` describes an upload, but some stores keep it in the header. */
const meaningless = ["", "identity", "aws-chunked"];

function parseHeader(header: string | null, key: string): Compression | null {
  const names = (header ?? "").split(",").map((name) => name.trim().toLowerCase());
  const named = names.filter((name) => !meaningless.includes(name));
  if (named.length === 0) return null;
  const compression = named.length === 1 ? namedCompressions[named[0] as string] : undefined;
  if (compression !== undefined) return compression;
  const text = `Content-Encoding ${JSON.stringify(named.join(", "))} is not known, expected one of gzip, zstd, br`;
  throw objectFault("S3_CONTENT_ENCODING", key, { text });
}

function magicOf(head: Uint8Array): Compression | null {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return "zstd";
  return null;
}

/**
 * The decoded bytes from an offset on, with the compression that `openBody` found. An uncompressed object is read from
 * there; a compressed one has to be decoded from its beginning.
 */
export async function reopenBody(source: BodySource, compression: Compression | null, offset: number) {
  const { store, version } = source;
  if (compression !== null) return skipBytes(decode(source, compression, (await store.read(version)).bytes), offset);
  // S3 answers 416 to a range that begins at the object's end
  return offset >= version.size ? Readable.from([]) : (await store.read(version, offset)).bytes;
}

async function* skipBytes(chunks: AsyncIterable<Uint8Array>, count: number) {
  let left = count;
  for await (const chunk of chunks) {
    if (chunk.length > left) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

async function* decode(source: BodySource, compression: Compression, encoded: AsyncIterable<Uint8Array>) {
  const { key, size } = source.version;
  let chunks = encoded;
  let consumed = 0;
  while (consumed < size) {
    const decoder = createDecoder(compression);
    // the loop below gets the errors of source and decoder alike, so the callback need not handle them
    pipeline(Readable.from(chunks, { objectMode: true }), decoder, () => {});
    try {
      for await (const chunk of decoder) yield chunk as Uint8Array;
    } catch (error) {
      throw toDecodingFault(error, compression, key);
    }
    consumed += decoder.bytesWritten;
    if (consumed === size) return;
    // Node decodes every member of a gzip file, but only the first frame of a zstd file
    if (compression !== "zstd" || decoder.bytesWritten === 0) {
      const text = `the ${compression} data is followed by other bytes; store it again without them`;
      throw objectFault("S3_CONTENT_ENCODING", key, { text });
    }
    chunks = (await source.store.read(source.version, consumed)).bytes;
  }
}

function createDecoder(compression: Compression): Transform & { readonly bytesWritten: number } {
  const options = { chunkSize: 128 * 1024 };
  if (compression === "gzip") return createGunzip(options);
  return compression === "zstd" ? createZstdDecompress(options) : createBrotliDecompress(options);
}

function toDecodingFault(error: unknown, compression: Compression, key: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const isDecoders = /^(Z_|ZSTD_|ERR__|ERR_BROTLI|ERR_ZSTD)/.test(code);
  if (error instanceof LoaderError || !isDecoders) return error;
  if (code === "Z_BUF_ERROR") {
    const text = `the ${compression} data ends in the middle; the upload was cut short, store it again`;
    return objectFault("S3_TRUNCATED", key, { text, cause: error });
  }
  const text = `the ${compression} data is damaged or followed by other bytes (${code}); store it again`;
  return objectFault("S3_CONTENT_ENCODING", key, { text, cause: error });
}

/**
 * A window that moves over the decoded fragment: `bytes[i]` is the fragment's byte `base + i`. The first `end` bytes
 * are valid, and a 0 behind them stops scanning loops. `more` changes all three, so read them again after a call.
 */
export type ByteWindow = {
  readonly bytes: Buffer;
  readonly base: number;
  readonly end: number;
  /** Reads further bytes and keeps those from offset `keep` on; false if the fragment has no more. */
  readonly more: (keep: number) => Promise<boolean>;
  readonly close: () => Promise<void>;
};

type WindowSource = {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly offset: number;
  readonly key: string;
  /** The number of bytes to come, if it is known: a small fragment, as many are, gets a small window. */
  readonly expected?: number;
};

const largeBytes = 1024 * 1024;
const smallBytes = 16 * 1024;
/** A source may deliver the whole object as one chunk: it is copied in pieces, so that the window stays small. */
const maxTakenBytes = 256 * 1024;

export function openWindow(source: WindowSource, limits: ReadLimits): ByteWindow {
  const chunks = source.chunks[Symbol.asyncIterator]();
  const initialBytes = Math.max(smallBytes, Math.min((source.expected ?? largeBytes) + 1, largeBytes));
  const close = async () => void (await chunks.return?.());
  const window = { bytes: Buffer.allocUnsafeSlow(initialBytes), base: source.offset, end: 0, more, close };
  let chunk: Uint8Array = Buffer.alloc(0);

  async function more(keep: number): Promise<boolean> {
    while (chunk.length === 0) {
      const next = await chunks.next();
      if (next.done) return false;
      chunk = next.value;
    }
    const taken = chunk.subarray(0, maxTakenBytes);
    chunk = chunk.subarray(taken.length);
    makeRoom(keep, taken.length);
    window.bytes.set(taken, window.end);
    window.end += taken.length;
    window.bytes[window.end] = 0;
    if (window.base + window.end <= limits.maxDecodedBytes) return true;
    const text = `more than ${limits.maxDecodedBytes} decoded bytes, the limit of a fragment; split it`;
    throw objectFault("S3_TOO_LARGE", source.key, { text });
  }

  function makeRoom(keep: number, bytes: number): void {
    if (window.end + bytes < window.bytes.length) return;
    const start = Math.min(keep - window.base, window.end);
    const kept = window.end - start;
    const needed = kept + bytes + 1;
    const fits = needed * 2 <= window.bytes.length && window.bytes.length <= largeBytes;
    const target = fits ? window.bytes : Buffer.allocUnsafeSlow(Math.max(initialBytes, needed * 2));
    window.bytes.copy(target, 0, start, window.end);
    window.bytes = target;
    window.base += start;
    window.end = kept;
  }

  return window;
}
