import { objectFault } from "./object-faults.ts";

export type Compression = "gzip" | "zstd" | "br";

/** Bytes at the head of an object that tell the compression. */
export const magicBytes = 4;

const namedCompressions: Readonly<Record<string, Compression>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  zstd: "zstd",
  br: "br",
};
/** `aws-chunked` describes an upload; some stores keep it in the header. */
const meaningless = ["", "identity", "aws-chunked"];

/** How an object is compressed. Magic bytes decide; a header that contradicts them is refused. */
export function findCompression(head: Uint8Array, header: string | null, key: string): Compression | null {
  const named = parseHeader(header, key);
  if (head.length === 0) return null;
  const seen = magicOf(head);
  if (named === null || named === seen) return seen;
  if (named === "br") return named;
  const text = `Content-Encoding says ${named}, but the bytes are ${seen ?? `not ${named}`}; store it with the header that fits`;
  throw objectFault("S3_CONTENT_ENCODING", key, { text });
}

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
