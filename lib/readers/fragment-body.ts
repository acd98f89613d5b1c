import { pipeline, Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createZstdDecompress } from "node:zlib";
import { LoaderError } from "../core/errors.ts";
import type { ObjectStore, ObjectVersion } from "../core/objects.ts";
import { type Compression, findCompression, magicBytes } from "./content-encoding.ts";
import { objectFault } from "./object-faults.ts";

export type BodySource = { readonly store: Pick<ObjectStore, "read">; readonly version: ObjectVersion };
/** Where in the decoded bytes to begin, and what an earlier read found out. */
export type BodyStart = { readonly offset: number; readonly compression: Compression | null };
export type FragmentBody = { readonly chunks: AsyncIterable<Uint8Array>; readonly compression: Compression | null };

/** The decoded bytes of an object from its first byte on. */
export async function openBody(source: BodySource): Promise<FragmentBody> {
  const { store, version } = source;
  const { bytes, contentEncoding } = await store.read(version);
  const { taken, rest } = await readHead(bytes);
  try {
    const compression = findCompression(Buffer.concat(taken), contentEncoding, version.key);
    const chunks = chain(taken, rest);
    return { compression, chunks: compression === null ? chunks : decode(source, { compression, chunks }) };
  } catch (error) {
    await rest.return?.();
    throw error;
  }
}

/** The decoded bytes from an offset on: a ranged read where nothing is compressed, else all is decoded again. */
export async function reopenBody(source: BodySource, start: BodyStart): Promise<AsyncIterable<Uint8Array>> {
  const { store, version } = source;
  if (start.compression !== null) {
    const { bytes } = await store.read(version);
    return skipBytes(decode(source, { compression: start.compression, chunks: bytes }), start.offset);
  }
  // S3 answers a range that begins at the object's end with 416
  if (start.offset >= version.size) return Readable.from([]);
  return (await store.read(version, start.offset)).bytes;
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

type Encoded = { readonly compression: Compression; readonly chunks: AsyncIterable<Uint8Array> };

async function* decode(source: BodySource, encoded: Encoded): AsyncGenerator<Uint8Array> {
  const { key, size } = source.version;
  let { chunks } = encoded;
  let consumed = 0;
  while (consumed < size) {
    const decoder = createDecoder(encoded.compression);
    // errors of both sides reach the loop below by way of the decoder
    pipeline(Readable.from(chunks, { objectMode: true }), decoder, () => {});
    try {
      for await (const chunk of decoder) yield chunk as Uint8Array;
    } catch (error) {
      throw toDecodingFault(error, encoded.compression, key);
    }
    consumed += decoder.bytesWritten;
    if (consumed === size) return;
    // node reads all members of a gzip file, but only the first frame of a zstd file
    if (encoded.compression !== "zstd" || decoder.bytesWritten === 0) throw garbageFault(encoded.compression, key);
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

function garbageFault(compression: Compression, key: string): LoaderError {
  const text = `the ${compression} data is followed by other bytes; store it again without them`;
  return objectFault("S3_CONTENT_ENCODING", key, { text });
}

async function* skipBytes(chunks: AsyncIterable<Uint8Array>, count: number) {
  let left = count;
  for await (const chunk of chunks) {
    if (chunk.length > left) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}
