import type { JsonValue } from "../core/json.ts";
import { type Boundaries, boundariesOf } from "./boundaries.ts";
import { decodeUtf8, findInvalidUtf8 } from "./charset.ts";
import { bytesBetween, type Cursor, encodingFault, faultHere, placeWithin, syntaxFault } from "./cursor.ts";
import { hasEscapedName, readExactly } from "./exact-values.ts";
import { findSyntaxFault } from "./json-syntax.ts";
import { quoteNumbers, unquoteNumbers } from "./quoted-numbers.ts";

export type RecordValues = {
  /** Those of the boundaries that could be read. */
  readonly boundaries: Boundaries;
  readonly values: readonly JsonValue[];
  /** Their bytes where the window had them, separated by commas. */
  readonly text: string;
  /** Why the record behind them could not be read; null where all could. */
  readonly refused: Error | null;
};

/** Parses whole records at once, up to the first that is no JSON. */
export function parseRecords(cursor: Cursor, boundaries: Boundaries): RecordValues {
  const { from, ends } = boundaries;
  const bytes = bytesBetween(cursor, from.offset, from.offset + (ends.at(-1) ?? 0));
  const text = boundaries.areLines ? decodeLines(bytes, ends) : decodeUtf8(bytes);
  if (text === null) return refuse(cursor, boundaries, findInvalid(cursor, boundaries, bytes));
  try {
    return { boundaries, text, values: parseValues(boundaries, text), refused: null };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return refuse(cursor, boundaries, findBroken(cursor, boundaries, bytes));
  }
}

/** A record that cannot be read: its index, and why. */
type Refused = { readonly index: number; readonly error: Error };

function refuse(cursor: Cursor, boundaries: Boundaries, { index, error }: Refused): RecordValues {
  const before = parseRecords(cursor, boundariesOf(cursor, boundaries, { from: 0, to: index }));
  return { ...before, refused: before.refused ?? error };
}

function parseValues({ from, exact, numbers }: Boundaries, text: string): JsonValue[] {
  const escaped = hasEscapedName(text);
  if (exact.length === 0 && !escaped) return JSON.parse(`[${text}]`) as JsonValue[];
  const places = numbers.map((offset) => offset - from.offset);
  const quoted = escaped ? null : quoteNumbers(text, places);
  if (quoted === null) return parseSlowly(`[${text}]`);
  const values = JSON.parse(`[${quoted}]`) as JsonValue[];
  for (const i of exact) unquoteNumbers(values[i] as JsonValue);
  return values;
}

/** `JSON.parse` says whether it is JSON, we say what it is. */
function parseSlowly(text: string): JsonValue[] {
  JSON.parse(text);
  return readExactly(text).value as JsonValue[];
}

const comma = 0x2c;

/** Between lines a comma takes the place of the first white space, for as long as it takes to decode them. */
function decodeLines(bytes: Buffer, ends: readonly number[]): string | null {
  const last = ends.length - 1;
  if (last < 0) return "";
  const replaced = new Uint8Array(last);
  for (let i = 0; i < last; i++) {
    replaced[i] = bytes[ends[i] as number] as number;
    bytes[ends[i] as number] = comma;
  }
  const text = decodeUtf8(bytes);
  for (let i = 0; i < last; i++) bytes[ends[i] as number] = replaced[i] as number;
  return text;
}

function findInvalid(cursor: Cursor, { from, before, ends }: Boundaries, bytes: Buffer): Refused {
  const at = findInvalidUtf8(bytes);
  const index = ends.findIndex((end) => end > at);
  return { index, error: encodingFault(cursor, placeWithin(from, bytes, at), before + index) };
}

function findBroken(cursor: Cursor, { from, before, starts, ends }: Boundaries, all: Buffer): Refused {
  for (const [index, start] of starts.entries()) {
    const bytes = all.subarray(start, ends[index]);
    const fault = findSyntaxFault(bytes, cursor.limits.maxDepth);
    if (fault === null) continue;
    const faulty = { bytes, from: placeWithin(from, all, start), fault };
    return { index, error: syntaxFault(cursor, faulty, before + index) };
  }
  return { index: 0, error: faultHere(cursor, "JSON_SYNTAX", "no JSON: the parser refuses records before here,") };
}
