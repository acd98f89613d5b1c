import { ExactNumber, type JsonValue } from "../core/json.ts";
import { decodeUtf8 } from "./charset.ts";
import { bytesBetween, type Cursor, faultHere, placeWithin, syntaxFault, textOf } from "./cursor.ts";
import type { Place } from "./faults.ts";
import { findSyntaxFault } from "./json-syntax.ts";

/** Some whole records in the window. Starts and ends are relative to the first byte. */
export type Boundaries = {
  readonly from: Place;
  /** They stand on lines, without commas between them. */
  readonly areLines: boolean;
  /** Records of the fragment before them. */
  readonly before: number;
  readonly starts: number[];
  readonly ends: number[];
  /** Indexes of the records with a number that `JSON.parse` would not give back. */
  readonly exact: number[];
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
  const mostlyExact = boundaries.exact.length * 2 > ends.length;
  try {
    if (mostlyExact) return { text, values: parseExactly(`[${text}]`) as JsonValue[] };
    const values = JSON.parse(`[${text}]`) as JsonValue[];
    for (const i of boundaries.exact) {
      values[i] = parseExactly(bytes.toString("utf8", boundaries.starts[i], ends[i]));
    }
    return { text, values };
  } catch (error) {
    throw explainRefusal(cursor, boundaries, bytes) ?? error;
  }
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

function parseExactly(text: string): JsonValue {
  return parseWith(text, keepDigits);
}

function explainRefusal(cursor: Cursor, boundaries: Boundaries, all: Buffer) {
  const { from, before, starts, ends } = boundaries;
  for (const [i, start] of starts.entries()) {
    const bytes = all.subarray(start, ends[i]);
    const fault = findSyntaxFault(bytes, cursor.limits.maxDepth);
    if (fault !== null) return syntaxFault(cursor, { bytes, from: placeWithin(from, all, start), fault }, before + i);
  }
  return faultHere(cursor, "JSON_SYNTAX", "no JSON: the parser refuses records before here,");
}
