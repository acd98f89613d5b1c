import { isAscii, isUtf8 } from "node:buffer";

/** The other Unicode encodings: by byte order mark, or by the NULs around the first ASCII character. */
export function foreignCharset(head: Uint8Array): string | null {
  const [a, b, c, d] = head;
  if (a === 0xff && b === 0xfe) return c === 0 && d === 0 ? "UTF-32LE" : "UTF-16LE";
  if (a === 0xfe && b === 0xff) return "UTF-16BE";
  if (a === 0 && b === 0) return c === 0xfe || (c === 0 && d) ? "UTF-32BE" : null;
  if (a === 0 && b) return "UTF-16BE";
  if (a && b === 0) return c === 0 && d === 0 ? "UTF-32LE" : "UTF-16LE";
  return null;
}

export const utf8Mark: readonly number[] = [0xef, 0xbb, 0xbf];

export function startsWithMark(bytes: Uint8Array): boolean {
  return utf8Mark.every((byte, i) => bytes[i] === byte);
}

/** The text of valid UTF-8, or null: decoding must never put a replacement character into data. */
export function decodeUtf8(bytes: Buffer): string | null {
  if (isAscii(bytes)) return bytes.toString("latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : null;
}

/** The index of the first byte that is not part of a UTF-8 sequence. */
export function findInvalidUtf8(bytes: Buffer): number {
  let i = 0;
  while (i < bytes.length) {
    const length = sequenceLength(bytes[i] as number);
    if (length === 0 || !isUtf8(bytes.subarray(i, i + length))) return i;
    i += length;
  }
  return bytes.length;
}

function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}
