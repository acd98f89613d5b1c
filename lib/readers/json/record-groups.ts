import { isUtf8 } from "node:buffer";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.ts";
import type { RawRecord, ReadPosition, RecordGroup, SourceRecord, TakeRecord } from "../../core/records.ts";
import { decodeUtf8, findInvalidUtf8 } from "../object-faults.ts";
import { type Boundaries, boundariesOf, boundariesOfAll, type Run } from "./boundaries.ts";
import {
  bytesBetween,
  type Cursor,
  depthFault,
  encodingFault,
  endFault,
  faultHere,
  type Medium,
  passContainer,
  placeOf,
  placeWithin,
  type Shape,
  scanOn,
  syntaxFault,
} from "./cursor.ts";
import { hasEscapedName, quoteNumbers, readExactly, unquoteNumbers } from "./exact-values.ts";
import { kindAt, lookAhead } from "./shape.ts";
import { findSyntaxFault } from "./syntax.ts";

type Collected = {
  /** Null where there was no further record. */
  readonly boundaries: Boundaries | null;
  readonly isLast: boolean;
  /** What stopped it; the records before it are whole. */
  readonly fault: { readonly error: unknown } | null;
};

/** Finds the boundaries of the next records, about a group of them. */
export async function collectRecords(cursor: Cursor, shape: Shape): Promise<Collected> {
  let boundaries: Boundaries | null = null;
  try {
    while (boundaries === null || !isFull(cursor, boundaries)) {
      const step = stepToRecord(cursor, shape);
      if (step === "record") {
        boundaries ??= beginGroup(cursor, shape);
        await takeRecords(cursor, shape, boundaries);
      } else if (step === "done") {
        return { boundaries, isLast: true, fault: null };
      } else if (step === "strange") {
        // looking ahead may push the records at hand out of the window: they go first
        if (boundaries !== null) break;
        throw await strangeFault(cursor, shape);
      } else if (!(await cursor.window.more(boundaries?.from.offset ?? cursor.offset))) {
        if (shape !== "ndjson") throw endFault(cursor);
        return { boundaries, isLast: true, fault: null };
      }
    }
    return { boundaries, isLast: false, fault: null };
  } catch (error) {
    return { boundaries: boundaries && boundaries.ends.length > 0 ? boundaries : null, isLast: true, fault: { error } };
  }
}

function beginGroup(cursor: Cursor, shape: Shape): Boundaries {
  const { line, lineStart } = cursor;
  cursor.exact = [];
  const place = { from: placeOf(cursor), before: cursor.records, areLines: shape === "ndjson" };
  return {
    ...place,
    starts: [],
    ends: [],
    members: [],
    exact: [],
    numbers: cursor.exact,
    line,
    lineStart,
  };
}

/** Takes the record at the cursor, and those behind it that are in the window: without waiting for each. */
async function takeRecords(cursor: Cursor, shape: Shape, group: Boundaries): Promise<void> {
  const { maxRecordBytes, maxValues } = cursor.limits;
  const origin = group.from.offset;
  do {
    const { offset, line, lineStart } = cursor;
    cursor.depth = 0;
    cursor.members = cursor.values = 0;
    const exactBefore = cursor.exact.length;
    const outcome = scanOn(cursor);
    if (outcome !== "closed" || cursor.offset - offset > maxRecordBytes || cursor.values > maxValues) {
      const from = { offset, line, column: offset - lineStart + 1 };
      await passContainer(cursor, { from, keep: origin }, outcome);
    }
    if (cursor.exact.length > exactBefore) group.exact.push(group.ends.length);
    group.starts.push(offset - origin);
    group.ends.push(cursor.offset - origin);
    group.members.push(cursor.members);
    group.line = cursor.line;
    group.lineStart = cursor.lineStart;
    cursor.records++;
    cursor.expects = "separator";
  } while (!isFull(cursor, group) && stepToRecord(cursor, shape) === "record");
}

function isFull({ offset, limits }: Cursor, { from, ends }: Boundaries): boolean {
  return offset - from.offset >= limits.groupBytes || ends.length >= limits.groupRecords;
}

/** Where the group before ended, what a position says of the fragment, and who is offered the records first. */
export type GroupContext = Medium & { readonly since: number; readonly take: TakeRecord | null };

/** The records of these boundaries up to the first that cannot be read, if there are any, and why it cannot. */
type ReadGroup = { readonly group: RecordGroup | null; readonly refused: Error | null };

export function readGroup(cursor: Cursor, found: Boundaries, context: GroupContext): ReadGroup {
  const records: SourceRecord[] = [];
  const parts: RecordValues[] = [];
  let refused: Error | null = null;
  let count = found.ends.length;
  for (const run of boundariesOfAll(cursor, found, runsToRead(cursor, found, context.take))) {
    const part = parseRecords(cursor, run);
    parts.push(part);
    records.push(...toRecords(cursor, part));
    refused = part.refused;
    if (refused === null) continue;
    count = run.before - found.before + part.values.length;
    break;
  }
  if (count === 0) return { group: null, refused };
  const next = positionBehind(boundariesOf(cursor, found, { from: 0, to: count }), context);
  return {
    refused,
    group: { records, count, next, bytes: next.offset - context.since, rawText: toRawText(parts) },
  };
}

function toRecords(cursor: Cursor, { boundaries, values }: RecordValues): SourceRecord[] {
  const { from, before, starts, ends, members } = boundaries;
  return values.map((value, i): SourceRecord => {
    const offset = from.offset + (starts[i] as number);
    const isWhole = hasAllMembers(value, members[i] as number);
    const end = from.offset + (ends[i] as number);
    const duplicate = isWhole ? null : readExactly(bytesBetween(cursor, offset, end).toString()).duplicate;
    return { number: before + i + 1, offset, value, duplicate };
  });
}

function positionBehind({ from, before, ends, line, lineStart }: Boundaries, context: GroupContext): ReadPosition {
  const { shape, compression } = context;
  const offset = from.offset + (ends.at(-1) as number);
  return { offset, records: before + ends.length, state: { shape, compression, line, lineStart } };
}

/** Raw text is asked for rejects only: until then the texts that were parsed are all that is kept. */
function toRawText(parts: readonly RecordValues[]): RecordGroup["rawText"] {
  const encoded = new Map<RecordValues, Buffer>();
  return ({ number }) => {
    const part = parts.findLast(({ boundaries }) => boundaries.before < number) as RecordValues;
    const bytes = encoded.get(part) ?? Buffer.from(part.text);
    encoded.set(part, bytes);
    const { before, starts, ends } = part.boundaries;
    return bytes.toString("utf8", starts[number - before - 1], ends[number - before - 1]);
  };
}

/** Whether as many members were read from an object as were written. A flat one shows it by its own names alone. */
function hasAllMembers(value: JsonValue, written: number): boolean {
  let own = 0;
  for (const _ in value as JsonObject) own++;
  return own === written || countMembers(value) === written;
}

/** Members of all objects in a value. Fewer than were written: a name stood twice, and `JSON.parse` kept the last. */
function countMembers(value: JsonValue): number {
  let count = 0;
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === "object") count += countMembers(element);
  } else if (isJsonObject(value)) {
    for (const name in value) {
      const member = value[name] as JsonValue;
      count += typeof member === "object" ? 1 + countMembers(member) : 1;
    }
  }
  return count;
}

type Step = "record" | "done" | "more" | "strange";

/** Goes to the next record, or to the bracket behind the last, as far as the window reaches. */
function stepToRecord(cursor: Cursor, shape: Shape): Step {
  if (shape === "data") return cursor.records === 0 ? "record" : "done";
  const { bytes, base, end } = cursor.window;
  const lines = shape === "ndjson";
  let step: Step = "more";
  let i = cursor.offset - base;
  for (; i < end; i++) {
    const byte = bytes[i];
    if (byte === 0x0a) {
      cursor.line++;
      cursor.lineStart = base + i + 1;
      if (lines) cursor.expects = "first";
    } else if (byte === 0x2c && !lines && cursor.expects === "separator") {
      cursor.expects = "record";
    } else if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) {
      if (byte === 0x7b && cursor.expects !== "separator") step = "record";
      else if (byte === 0x5d && !lines && cursor.expects !== "record") step = "done";
      else step = "strange";
      break;
    }
  }
  cursor.offset = base + i;
  return step;
}

/** What stands where a record or a separator should. */
async function strangeFault(cursor: Cursor, shape: Shape) {
  const { bytes, isAll } = await lookAhead(cursor);
  const from = placeOf(cursor);
  if (cursor.expects === "separator") {
    const expected = shape === "ndjson" ? "a line end" : '"," or "]"';
    return faultHere(cursor, "JSON_SYNTAX", `no JSON: expected ${expected} after the record`);
  }
  if (cursor.expects === "record" && bytes[0] === 0x5d) {
    return faultHere(cursor, "JSON_SYNTAX", "no JSON: a comma before the closing bracket");
  }
  const fault = findSyntaxFault(bytes, cursor.limits.maxDepth, true);
  if (fault?.kind === "syntax") return syntaxFault(cursor, { bytes, from, fault });
  if (fault?.kind === "deep") return depthFault(cursor);
  if (fault?.kind === "incomplete" && isAll) return endFault(cursor);
  const number = cursor.records + 1;
  return faultHere(cursor, "JSON_SHAPE", `record ${number} is ${kindAt(bytes[0] as number)}, expected an object,`);
}

/** Offers every record to whoever can do without its value, and answers the runs of those that are left. */
function runsToRead(cursor: Cursor, found: Boundaries, take: TakeRecord | null): Run[] {
  const { from, before, starts, ends } = found;
  const all = { from: 0, to: ends.length };
  const bytes = bytesBetween(cursor, from.offset, from.offset + (ends.at(-1) ?? 0));
  if (take === null || !isUtf8(bytes)) return [all];
  const runs: Run[] = [];
  const record: RawRecord = { bytes, from: 0, to: 0, number: 0 };
  let open = 0;
  for (let i = 0; i < ends.length; i += 1) {
    record.from = starts[i] as number;
    record.to = ends[i] as number;
    record.number = before + i + 1;
    if (!take(record)) continue;
    if (i > open) runs.push({ from: open, to: i });
    open = i + 1;
  }
  if (open < ends.length) runs.push({ from: open, to: ends.length });
  return runs;
}

type RecordValues = {
  /** Those of the boundaries that could be read. */
  readonly boundaries: Boundaries;
  readonly values: readonly JsonValue[];
  /** Their bytes where the window had them, separated by commas. */
  readonly text: string;
  /** Why the record behind them could not be read; null where all could. */
  readonly refused: Error | null;
};

/** Parses whole records at once, up to the first that is no JSON. */
function parseRecords(cursor: Cursor, boundaries: Boundaries): RecordValues {
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
