import { isAscii, isUtf8 } from "node:buffer";
import { PermanentError } from "../core/errors.ts";

/** A byte of the decoded fragment. Line and column start at 1; the column counts bytes. */
export type Place = { readonly offset: number; readonly line: number; readonly column: number };

/** Where something is wrong, and how many records were complete before it. */
type At = { readonly place: Place; readonly records: number };

export function jsonFault(code: string, key: string, fault: { readonly text: string; readonly at: At }) {
  const { place, records } = fault.at;
  const where = `at byte ${place.offset} (line ${place.line}, column ${place.column})`;
  const last = records === 0 ? "no complete record before it" : `last complete record ${records}`;
  return new PermanentError(code, `${key}: ${fault.text} ${where}; ${last}`, { key, ...place, records });
}

/** A fault of the object as it is stored: its length, its encoding. */
export function objectFault(code: string, key: string, fault: { readonly text: string; readonly cause?: unknown }) {
  return new PermanentError(code, `${key}: ${fault.text}`, { key, cause: fault.cause });
}

const maxShownBytes = 8;
/** First bytes of common kinds of files: they show what an object is, and hold none of its values. */
const knownOpenings = /^(?:<!doctype?|<html>?|<\?xml|<error>?|par1|%pdf-\d\.\d)/i;

/**
 * Shows how an object that is not JSON at all begins. Its bytes may be values, so beyond a known opening every letter
 * becomes `a` and every digit `0`; without a known opening, bytes beyond ASCII become `?`.
 */
export function showBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, maxShownBytes)).toString("latin1");
  const known = knownOpenings.exec(text)?.[0] ?? "";
  const rest = text.slice(known.length).replaceAll(/[a-z]/gi, "a").replaceAll(/[0-9]/g, "0");
  const masked = known === "" ? rest.replaceAll(/[\x80-\xff]/g, "?") : rest;
  return `"${[...known, ...masked].map(escapeByte).join("")}"`;
}

function escapeByte(character: string): string {
  const isPrintable = character >= " " && character < "\x7f" && character !== '"' && character !== "\\";
  return isPrintable ? character : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** Recognizes other Unicode encodings by a byte order mark, or by the NULs around an ASCII character; else null. */
export function foreignCharset(head: Uint8Array): string | null {
  const [a, b, c, d] = head;
  if (a === 0xff && b === 0xfe) return c === 0 && d === 0 ? "UTF-32LE" : "UTF-16LE";
  if (a === 0xfe && b === 0xff) return "UTF-16BE";
  if (a === 0 && b === 0) return c === 0xfe || (c === 0 && d) ? "UTF-32BE" : null;
  if (a === 0 && b) return "UTF-16BE";
  if (a && b === 0) return c === 0 && d === 0 ? "UTF-32LE" : "UTF-16LE";
  return null;
}

/** Whether the bytes begin with UTF-8's byte order mark. */
export function startsWithMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

/** The text of bytes that must be valid UTF-8: invalid ones would become replacement characters in the data. */
export function decodeUtf8(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? "latin1" : "utf8");
}

/** The index of the first byte that is not part of a valid UTF-8 sequence, or else the length. */
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
