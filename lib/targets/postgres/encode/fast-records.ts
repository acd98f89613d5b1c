import { conversionOptions, isObliged, nullTexts } from "../../../core/contract.ts";
import type { TablePlan } from "../../../core/plan.ts";
import type { RawRecord } from "../../../core/records.ts";
import type { LineBuffer } from "./copy-text.ts";
import {
  escapedKind,
  type FastForm,
  fastFormOf,
  isAt,
  type Kind,
  type Lexeme,
  literalKind,
  numberKind,
  passNumber,
  stringKind,
  utcSuffix,
} from "./fast-values.ts";
import { type FieldMeaning, fieldMeanings, rowWidthOf } from "./transform.ts";

/**
 * The short way from a record's bytes to its line of COPY text, for records whose every value is plain. It reads JSON
 * strictly, knows the names by their order in the record before, and gives up at the first thing
 * out of the ordinary: then the record is parsed and transformed the exact way, which would give the same line.
 */
export type FastRecords = {
  /**
   * Appends the mask of absent fields and the fields to the line, for which there has to be room. Answers how many
   * values the contract reads as null, or -1 where the record is not plain: then the line is as it was.
   */
  readonly append: (record: RawRecord, line: LineBuffer) => number;
};

/** A column of the line; `nulls` are the texts that mean null. */
type FastColumn = {
  readonly form: FastForm | null;
  readonly nulls: readonly Uint8Array[];
  /** True where null is a fault. */
  readonly isObliged: boolean;
};

type FastTable = {
  readonly columns: readonly FastColumn[];
  readonly meaningOf: (name: string) => FieldMeaning;
};

/** Bytes that a line may take beyond those of its record: separators, nulls, suffixes. */
export const overheadOfColumn = 8;

const absent = 0;
const nullKind = 5;
/** Names beside those of columns that are told apart, so that none of them stands twice. */
const maxPassedNames = 64;

type Name = { readonly bytes: Uint8Array; readonly slot: number };

type Reading = {
  readonly table: FastTable;
  readonly kinds: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** By their place in the record before. */
  readonly names: Name[];
  readonly passed: Map<string, number>;
  readonly value: Lexeme;
  bytes: Uint8Array;
  at: number;
  to: number;
};

export function openFastRecords(table: FastTable): FastRecords {
  const slots = table.columns.length + maxPassedNames;
  const nothing = new Uint8Array(0);
  const reading: Reading = {
    table,
    kinds: new Uint8Array(slots),
    starts: new Int32Array(slots),
    ends: new Int32Array(slots),
    names: [],
    passed: new Map(),
    value: { bytes: nothing, kind: stringKind, from: 0, to: 0 },
    bytes: nothing,
    at: 0,
    to: 0,
  };
  return { append: (record, line) => (readMembers(reading, record) ? appendFields(reading, line) : -1) };
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const minus = 0x2d;
const closeBrace = 0x7d;

/** Where every value stands. False where the record is not plain. */
function readMembers(reading: Reading, { bytes, from, to }: RawRecord): boolean {
  reading.kinds.fill(absent);
  reading.bytes = reading.value.bytes = bytes;
  reading.to = to;
  reading.at = passSpace(bytes, from + 1);
  if (bytes[reading.at] === closeBrace) return reading.at + 1 === to;
  for (let place = 0; ; place += 1) {
    const slot = readName(reading, place);
    if (slot < 0 || !readValue(reading, slot)) return false;
    reading.at = passSpace(bytes, reading.at);
    if (bytes[reading.at] === closeBrace) return reading.at + 1 === to;
    if (bytes[reading.at] !== comma) return false;
    reading.at = passSpace(bytes, reading.at + 1);
  }
}

function passSpace(bytes: Uint8Array, from: number): number {
  let i = from;
  while (bytes[i] === 0x20 || bytes[i] === 0x0a || bytes[i] === 0x0d || bytes[i] === 0x09) i += 1;
  return i;
}

/** Passes a name and its colon; answers the slot of its value, -1 where it is not plain. */
function readName(reading: Reading, place: number): number {
  const { bytes } = reading;
  if (bytes[reading.at] !== quote) return -1;
  const start = reading.at + 1;
  let name = reading.names[place];
  if (name === undefined || !isAt(bytes, start, name.bytes)) {
    const end = passString(bytes, start);
    if (end < 0 || hasEscape(bytes, start, end)) return -1;
    const slot = slotOf(reading, Buffer.from(bytes.subarray(start, end)).toString());
    if (slot < 0) return -1;
    name = { bytes: bytes.slice(start, end + 1), slot };
    if (place <= reading.names.length) reading.names[place] = name;
  }
  const at = passSpace(bytes, start + name.bytes.length);
  if (bytes[at] !== colon) return -1;
  reading.at = passSpace(bytes, at + 1);
  return name.slot;
}

/** The slot of a column, or of a name that is passed over. */
function slotOf({ table, passed }: Reading, name: string): number {
  const meaning = table.meaningOf(name);
  if (typeof meaning === "number") return meaning;
  if (meaning !== "ignored") return -1;
  const known = passed.get(name);
  if (known !== undefined || passed.size >= maxPassedNames) return known ?? -1;
  const slot = table.columns.length + passed.size;
  passed.set(name, slot);
  return slot;
}

/** What may follow the backslash of an escape of one character. */
const shortEscapes = Uint8Array.from({ length: 256 }, (_, byte) =>
  '"\\/bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0,
);

/** Where a string ends; -1 where it holds a control character or an escape by number. */
function passString(bytes: Uint8Array, from: number): number {
  let i = from;
  let byte = bytes[i] as number;
  while (byte !== quote) {
    // Behind the last byte there is none, which is not greater either.
    if (!(byte >= 0x20)) return -1;
    if (byte === backslash && shortEscapes[bytes[++i] as number] !== 1) return -1;
    i += 1;
    byte = bytes[i] as number;
  }
  return i;
}

function hasEscape(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i += 1) if (bytes[i] === backslash) return true;
  return false;
}

const wordTrue = Buffer.from("true");
const wordFalse = Buffer.from("false");
const wordNull = Buffer.from("null");

/** Notes where a scalar stands and passes it. False where it is none, or stands twice. */
function readValue(reading: Reading, slot: number): boolean {
  const { bytes, kinds } = reading;
  if (kinds[slot] !== absent) return false;
  const start = reading.at;
  const first = bytes[start] as number;
  if (first === quote) {
    const end = passString(bytes, start + 1);
    reading.starts[slot] = start + 1;
    reading.ends[slot] = end;
    kinds[slot] = hasEscape(bytes, start + 1, end) ? escapedKind : stringKind;
    reading.at = end + 1;
    return end >= 0;
  }
  const isNumber = first === minus || (first >= 0x30 && first <= 0x39);
  const end = isNumber ? passNumber(bytes, start) : passWord(bytes, start);
  kinds[slot] = isNumber ? numberKind : first === wordNull[0] ? nullKind : literalKind;
  reading.starts[slot] = start;
  reading.ends[slot] = end;
  reading.at = end;
  return end >= 0;
}

function passWord(bytes: Uint8Array, from: number): number {
  if (isAt(bytes, from, wordNull)) return from + wordNull.length;
  if (isAt(bytes, from, wordTrue)) return from + wordTrue.length;
  return isAt(bytes, from, wordFalse) ? from + wordFalse.length : -1;
}

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

function appendAbsent({ table, kinds }: Reading, line: LineBuffer): void {
  const count = table.columns.length;
  let complete = true;
  for (let slot = 0; slot < count; slot += 1) if (kinds[slot] === absent) complete = false;
  if (complete) {
    appendNull(line);
    return;
  }
  for (let slot = 0; slot < count; slot += 1) line.bytes[line.end++] = zeroDigit + (kinds[slot] === absent ? 1 : 0);
}

function appendNull(line: LineBuffer): void {
  line.bytes[line.end++] = backslash;
  line.bytes[line.end++] = letterN;
}

/** Answers 1 for a text that means null, -1 for a value that is not plain, else 0. */
function appendValue(reading: Reading, slot: number, line: LineBuffer): number {
  const { form, nulls, isObliged } = reading.table.columns[slot] as FastColumn;
  const kind = reading.kinds[slot] as number;
  const { value } = reading;
  value.kind = kind as Kind;
  value.from = reading.starts[slot] as number;
  value.to = reading.ends[slot] as number;
  // Whether the text behind the escapes means null is not looked at here.
  if (kind === escapedKind && nulls.some((text) => text.length >= (value.to - value.from) / 2)) return -1;
  const isNulled = kind === stringKind && isOneOf(value, nulls);
  if (kind === absent || kind === nullKind || isNulled) {
    if (isObliged) return -1;
    appendNull(line);
    return isNulled ? 1 : 0;
  }
  if (form === null) return -1;
  const match = form(value);
  if (match === 0) return -1;
  if (kind === escapedKind) appendEscaped(value, line);
  else appendBytes(value, line);
  if (match === 2) for (const byte of utcSuffix) line.bytes[line.end++] = byte;
  return 0;
}

function isOneOf({ bytes, from, to }: Lexeme, texts: readonly Uint8Array[]): boolean {
  for (const text of texts) if (text.length === to - from && isAt(bytes, from, text)) return true;
  return false;
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

/** COPY has JSON's escapes, but those of quote and slash. */
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

/** What the short way has to know of a plan's table; null where rows may be too wide, which only the exact way tells. */
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
