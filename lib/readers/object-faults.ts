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
/** They tell what a file is, and are nothing of its content. */
const knownOpenings = /^(?:<!doctype?|<html>?|<\?xml|<error>?|par1|%pdf-\d\.\d)/i;

/**
 * The first bytes of something that is no JSON at all, so that a reader of the log sees what it is. They may be values:
 * beyond the opening of a known kind of file, a letter shows as `a`, a digit as `0`, and what is not ASCII as `?`.
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
