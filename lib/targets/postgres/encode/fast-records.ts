import { conversionOptions, isObliged, nullTexts } from "../../../core/contract.ts";
import { endToken, escapedToken, nameToken, nullToken, stringToken, tokenSize } from "../../../core/json-tokens.ts";
import type { TablePlan } from "../../../core/plan.ts";
import type { RawRecord } from "../../../core/records.ts";
import type { LineBuffer } from "./copy-text.ts";
import { type FastForm, fastFormOf, isAt, isOneOf, type Lexeme, utcSuffix } from "./fast-values.ts";
import { type FieldMeaning, fieldMeanings, rowWidthOf } from "./record-to-row.ts";

/**
 * The fast path from a record's tokens to its line of COPY text, for records whose values are all plain. It expects the
 * names in the order of the previous record, and gives up at the first unusual thing: then the record is parsed and
 * transformed, which gives the same line for all that the fast path takes.
 */
export type FastRecords = {
  /**
   * Appends the mask of absent fields and the fields to the line, which must have room for them. Returns how many
   * values the contract reads as null; or -1, and leaves the line as it was, if the record is not plain.
   */
  readonly append: (record: RawRecord, line: LineBuffer) => number;
};

type FastColumn = {
  readonly form: FastForm | null;
  /** Texts that mean null. */
  readonly nulls: readonly Uint8Array[];
  /** True if a record without a value is rejected. */
  readonly isObliged: boolean;
};

type FastTable = {
  readonly columns: readonly FastColumn[];
  readonly meaningOf: (name: string) => FieldMeaning;
};

/** What the fast path needs to know of a table; null if rows may be too wide, which only the transform checks. */
export function fastTableOf(plan: TablePlan): FastTable | null {
  const { contract } = plan;
  if (rowWidthOf(plan.columns) !== null) return null;
  const columns = plan.columns.map((column) => ({
    form: fastFormOf(column, conversionOptions(contract, column.name)),
    nulls: [...nullTexts(contract, column.name)].map((text) => Buffer.from(text)),
    isObliged: isObliged(contract, column.name),
  }));
  return { columns, meaningOf: fieldMeanings(plan) };
}

/** For each column, bytes that a line may need beyond those of its record: separators, nulls, suffixes. */
export const overheadOfColumn = 8;

/** Most ignored names that get a slot, which shows if one of them stands twice; a record with more is not plain. */
const maxIgnoredNames = 64;

type Name = { readonly bytes: Uint8Array; readonly slot: number };

type Reading = {
  readonly table: FastTable;
  /** The index among the tokens of the value of each slot; 0 if it is absent. */
  readonly places: Int32Array;
  /** The names of the previous record, in order. */
  readonly names: Name[];
  /** The slots of ignored names. */
  readonly ignored: Map<string, number>;
  readonly value: Lexeme;
  tokens: Int32Array;
};

export function openFastRecords(table: FastTable): FastRecords {
  const reading: Reading = {
    table,
    places: new Int32Array(table.columns.length + maxIgnoredNames),
    names: [],
    ignored: new Map(),
    value: { bytes: new Uint8Array(0), kind: stringToken, from: 0, to: 0 },
    tokens: new Int32Array(0),
  };
  return { append: (record, line) => (readMembers(reading, record) ? appendFields(reading, line) : -1) };
}

/** Finds the place of every value; false if the record is not plain. */
function readMembers(reading: Reading, { bytes, tokens, token }: RawRecord): boolean {
  const { places, names } = reading;
  places.fill(0);
  reading.value.bytes = bytes;
  reading.tokens = tokens;
  let at = token + tokenSize;
  for (let place = 0; tokens[at] === nameToken + stringToken; place += 1) {
    const start = tokens[at + 1] as number;
    const length = (tokens[at + 2] as number) - start;
    let name = names[place];
    if (name === undefined || name.bytes.length !== length || !isAt(bytes, start, name.bytes)) {
      const slot = slotOf(reading, Buffer.from(bytes.subarray(start, start + length)).toString());
      if (slot < 0) return false;
      name = { bytes: bytes.slice(start, start + length), slot };
      if (place <= names.length) names[place] = name;
    }
    at += tokenSize;
    if (places[name.slot] !== 0 || (tokens[at] as number) > nullToken) return false;
    places[name.slot] = at;
    at += tokenSize;
  }
  return tokens[at] === endToken;
}

/** The slot of a column or of an ignored name; -1 for any other. */
function slotOf({ table, ignored }: Reading, name: string): number {
  const meaning = table.meaningOf(name);
  if (typeof meaning === "number") return meaning;
  if (meaning !== "ignored") return -1;
  const known = ignored.get(name);
  if (known !== undefined || ignored.size >= maxIgnoredNames) return known ?? -1;
  const slot = table.columns.length + ignored.size;
  ignored.set(name, slot);
  return slot;
}

const quote = 0x22;
const backslash = 0x5c;
const tab = 0x09;
const letterN = 0x4e;
const zeroDigit = 0x30;

function appendFields(reading: Reading, line: LineBuffer): number {
  const { columns } = reading.table;
  const start = line.end;
  appendAbsent(reading, line);
  let nulled = 0;
  for (let slot = 0; slot < columns.length; slot += 1) {
    line.bytes[line.end++] = tab;
    const appended = appendValue(reading, slot, line);
    if (appended < 0) {
      line.end = start;
      return -1;
    }
    nulled += appended;
  }
  return nulled;
}

function appendAbsent({ table, places }: Reading, line: LineBuffer): void {
  const count = table.columns.length;
  let complete = true;
  for (let slot = 0; slot < count; slot += 1) if (places[slot] === 0) complete = false;
  if (complete) {
    appendNull(line);
    return;
  }
  for (let slot = 0; slot < count; slot += 1) line.bytes[line.end++] = zeroDigit + (places[slot] === 0 ? 1 : 0);
}

function appendNull(line: LineBuffer): void {
  line.bytes[line.end++] = backslash;
  line.bytes[line.end++] = letterN;
}

/** Returns 1 for a text that means null, -1 for a value that is not plain, else 0. */
function appendValue(reading: Reading, slot: number, line: LineBuffer): number {
  const { form, nulls, isObliged } = reading.table.columns[slot] as FastColumn;
  const { value, tokens } = reading;
  const place = reading.places[slot] as number;
  const kind = place === 0 ? nullToken : (tokens[place] as number);
  value.kind = kind;
  value.from = tokens[place + 1] as number;
  value.to = tokens[place + 2] as number;
  // The escapes are not decoded here: a text so short that it could mean null is left to the transform.
  if (kind === escapedToken && nulls.some((text) => text.length >= (value.to - value.from) / 2)) return -1;
  const isNulled = kind === stringToken && isOneOf(value, nulls);
  if (kind === nullToken || isNulled) {
    if (isObliged) return -1;
    appendNull(line);
    return isNulled ? 1 : 0;
  }
  if (form === null) return -1;
  const match = form(value);
  if (match === 0) return -1;
  if (kind === escapedToken) appendEscaped(value, line);
  else appendBytes(value, line);
  if (match === 2) for (const byte of utcSuffix) line.bytes[line.end++] = byte;
  return 0;
}

/** From here on a native copy is faster than a loop. */
const nativeCopyBytes = 64;

function appendBytes({ bytes, from, to }: Lexeme, line: LineBuffer): void {
  if (to - from >= nativeCopyBytes) {
    line.bytes.set(bytes.subarray(from, to), line.end);
    line.end += to - from;
    return;
  }
  const target = line.bytes;
  let at = line.end;
  for (let i = from; i < to; i += 1) target[at++] = bytes[i] as number;
  line.end = at;
}

const slash = 0x2f;

/** COPY has the same escapes as JSON, except those of quote and slash. */
function appendEscaped({ bytes, from, to }: Lexeme, line: LineBuffer): void {
  for (let i = from; i < to; i += 1) {
    let byte = bytes[i] as number;
    if (byte === backslash) {
      const escaped = bytes[++i] as number;
      if (escaped !== quote && escaped !== slash) line.bytes[line.end++] = backslash;
      byte = escaped;
    }
    line.bytes[line.end++] = byte;
  }
}
