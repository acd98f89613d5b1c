import { PermanentError } from "../core/errors.ts";

/** A byte of the decoded fragment. Line and column start at 1; the column counts bytes. */
export type Place = { readonly offset: number; readonly line: number; readonly column: number };

/** Where something is wrong, and how many records were complete before it. */
export type At = { readonly place: Place; readonly records: number };

export function jsonFault(
  code: string,
  key: string,
  fault: { readonly text: string; readonly at: At },
): PermanentError {
  const { place, records } = fault.at;
  const where = `at byte ${place.offset} (line ${place.line}, column ${place.column})`;
  const last = records === 0 ? "no complete record before it" : `last complete record ${records}`;
  return new PermanentError(code, `${key}: ${fault.text} ${where}; ${last}`, { key, ...place, records });
}

/** Faults of the object as it is stored: its length, its encoding. */
export function objectFault(code: string, key: string, fault: { readonly text: string; readonly cause?: unknown }) {
  return new PermanentError(code, `${key}: ${fault.text}`, { key, cause: fault.cause });
}

const maxShownBytes = 8;

/** The first bytes of something that is no JSON at all, so that a reader of the log sees what it is. */
export function showBytes(bytes: Uint8Array): string {
  const shown = Array.from(bytes.subarray(0, maxShownBytes), (byte) => {
    const printable = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
    return printable ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  return `"${shown.join("")}"`;
}
