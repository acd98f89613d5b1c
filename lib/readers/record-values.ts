import { ExactNumber, type JsonValue } from "../core/json.ts";
import { decodeUtf8, findInvalidUtf8 } from "./charset.ts";
import { bytesBetween, type Cursor, encodingFault, faultHere, placeWithin, syntaxFault } from "./cursor.ts";
import type { Place } from "./faults.ts";
import { findSyntaxFault } from "./json-syntax.ts";
import { quoteNumbers, unquoteNumbers } from "./quoted-numbers.ts";

/** Some whole records in the window. Starts and ends are relative to the first byte. */
export type Boundaries = {
  readonly from: Place;
  /** They stand on lines, without commas between them. */
  readonly areLines: boolean;
  /** Records of the fragment before them. */
  readonly before: number;
  readonly starts: number[];
  readonly ends: number[];
  /** How many members the objects of each record have as they are written. */
  readonly members: number[];
  /** Indexes of the records with numbers that `JSON.parse` would not give back. */
  readonly exact: number[];
  /** Where these numbers stand in the fragment: start, end, start, end, ... */
  readonly numbers: readonly number[];
  /** The line in which the last one ends, and where that line begins. */
  line: number;
  lineStart: number;
};

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
  const before = parseRecords(cursor, firstOf(cursor, boundaries, index));
  return { ...before, refused: before.refused ?? error };
}

function firstOf(cursor: Cursor, all: Boundaries, count: number): Boundaries {
  const [starts, ends, members] = [all.starts.slice(0, count), all.ends.slice(0, count), all.members.slice(0, count)];
  const { offset } = all.from;
  const end = ends.at(-1) ?? 0;
  const { line, column } = placeWithin(all.from, bytesBetween(cursor, offset, offset + end), end);
  const exact = all.exact.filter((index) => index < count);
  const numbers = all.numbers.filter((place) => place <= offset + end);
  return { ...all, starts, ends, members, exact, numbers, line, lineStart: offset + end - column + 1 };
}

function parseValues({ from, exact, numbers }: Boundaries, text: string): JsonValue[] {
  if (exact.length === 0) return JSON.parse(`[${text}]`) as JsonValue[];
  const places = numbers.map((offset) => offset - from.offset);
  const quoted = quoteNumbers(text, places);
  if (quoted === null) return parseWith(`[${text}]`, keepDigits) as JsonValue[];
  const values = JSON.parse(`[${quoted}]`) as JsonValue[];
  for (const i of exact) unquoteNumbers(values[i] as JsonValue);
  return values;
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

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

const keepDigits: Reviver = (_key, value, { source }) => {
  return typeof value === "number" && source !== undefined && String(value) !== source
    ? new ExactNumber(source)
    : value;
};

// the library's types do not know the reviver's third argument yet
const parseWith = JSON.parse as (text: string, reviver: Reviver) => JsonValue;

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
