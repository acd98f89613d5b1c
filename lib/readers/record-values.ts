import { ExactNumber, type JsonValue } from "../core/json.ts";
import { decodeUtf8 } from "./charset.ts";
import { bytesBetween, type Cursor, faultHere, placeWithin, syntaxFault, textOf } from "./cursor.ts";
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
  /** Indexes of the records with numbers that `JSON.parse` would not give back. */
  readonly exact: number[];
  /** Where these numbers stand in the fragment: start, end, start, end, ... */
  readonly numbers: readonly number[];
  /** The line in which the last one ends, and where that line begins. */
  line: number;
  lineStart: number;
};

export type RecordValues = { readonly values: readonly JsonValue[]; readonly text: string };

/** Parses whole records at once. The text has their bytes where the window had them, separated by commas. */
export function parseRecords(cursor: Cursor, boundaries: Boundaries): RecordValues {
  const { from, ends } = boundaries;
  const bytes = bytesBetween(cursor, from.offset, from.offset + (ends.at(-1) as number));
  const decoded = boundaries.areLines ? decodeLines(bytes, ends) : decodeUtf8(bytes);
  const text = decoded ?? textOf({ ...cursor, records: boundaries.before }, from, bytes);
  try {
    return { text, values: parseValues(boundaries, text) };
  } catch (error) {
    throw error instanceof SyntaxError ? explainRefusal(cursor, boundaries, bytes) : error;
  }
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

function explainRefusal(cursor: Cursor, boundaries: Boundaries, all: Buffer) {
  const { from, before, starts, ends } = boundaries;
  for (const [i, start] of starts.entries()) {
    const bytes = all.subarray(start, ends[i]);
    const fault = findSyntaxFault(bytes, cursor.limits.maxDepth);
    if (fault !== null) return syntaxFault(cursor, { bytes, from: placeWithin(from, all, start), fault }, before + i);
  }
  return faultHere(cursor, "JSON_SYNTAX", "no JSON: the parser refuses records before here,");
}
