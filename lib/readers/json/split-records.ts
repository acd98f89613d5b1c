import { isUtf8 } from "node:buffer";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.ts";
import type { RawRecord, ReadPosition, RecordGroup, SourceRecord, TakeRecord } from "../../core/records.ts";
import { decodeUtf8, findInvalidUtf8, type Place } from "../object-faults.ts";
import { passContainer } from "./container-end.ts";
import {
  bytesBetween,
  type Cursor,
  depthFault,
  encodingFault,
  endFault,
  faultHere,
  type Medium,
  placeOf,
  placeWithin,
  refuseSyntax,
  type Shape,
  syntaxFault,
  textOf,
} from "./cursor.ts";
import { readExactly, summarize, type Taped, type TokenSummary } from "./exact-values.ts";
import { kindAt, lookAhead } from "./shape.ts";
import { findSyntaxFault } from "./syntax.ts";
import { type Tape, tokenize } from "./tokenize.ts";

/** Where the group before ended, what a position says of the fragment, and who is offered the records first. */
type GroupContext = Medium & { readonly since: number; readonly take: TakeRecord | null };

/** Reads the records from the cursor on, in groups. All complete records before a fault are handed over first. */
export async function* splitRecords(cursor: Cursor, context: GroupContext): AsyncGenerator<RecordGroup, void> {
  let { since } = context;
  for (;;) {
    const { boundaries, isLast, fault } = await collectRecords(cursor, context.shape);
    if (boundaries !== null) {
      const { group, refused } = readGroup(cursor, boundaries, { ...context, since });
      since = group?.next.offset ?? since;
      if (group !== null) yield group;
      if (refused !== null) throw refused;
    }
    if (fault !== null) throw fault.error;
    if (isLast) return;
  }
}

/** Some whole records in the window, and on the tape. Starts and ends are relative to the first byte. */
type Boundaries = {
  readonly from: Place;
  /** They stand on lines, without commas between them. */
  readonly areLines: boolean;
  /** Records of the fragment before them. */
  readonly before: number;
  readonly starts: number[];
  readonly ends: number[];
  /** Where each begins on the tape, and where the last one ends. */
  readonly tokens: number[];
  /** The line in which the last one ends, and where that line begins. */
  line: number;
  lineStart: number;
};

type Collected = {
  /** Null where there was no further record. */
  readonly boundaries: Boundaries | null;
  readonly isLast: boolean;
  /** What stopped it; the records before it are whole. */
  readonly fault: { readonly error: unknown } | null;
};

/** Finds the boundaries of the next records, about a group of them. */
async function collectRecords(cursor: Cursor, shape: Shape): Promise<Collected> {
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

function beginGroup(cursor: Cursor, shape: Shape): Boundaries {
  const { line, lineStart } = cursor;
  cursor.tape.length = 0;
  const place = { from: placeOf(cursor), before: cursor.records, areLines: shape === "ndjson" };
  return { ...place, starts: [], ends: [], tokens: [0], line, lineStart };
}

/** Takes the record at the cursor, and those behind it that are in the window: without waiting for each. */
async function takeRecords(cursor: Cursor, shape: Shape, group: Boundaries): Promise<void> {
  const origin = group.from.offset;
  do {
    const start = cursor.offset;
    if (!takeAtHand(cursor, origin)) await takeAnyway(cursor, origin);
    group.starts.push(start - origin);
    group.ends.push(cursor.offset - origin);
    group.tokens.push(cursor.tape.length);
    group.line = cursor.line;
    group.lineStart = cursor.lineStart;
    cursor.records++;
    cursor.expects = "separator";
  } while (!isFull(cursor, group) && stepToRecord(cursor, shape) === "record");
}

/** Puts the record at the cursor on the tape and passes it. False, and nothing done, where that is not all there is to it. */
function takeAtHand(cursor: Cursor, origin: number): boolean {
  const { tape, limits } = cursor;
  const { bytes, base, end } = cursor.window;
  const token = tape.length;
  const outcome = tokenize(tape, { bytes, from: cursor.offset - base, end, origin: origin - base });
  if (outcome !== "closed") return false;
  if (base + tape.at - cursor.offset > limits.maxRecordBytes || tape.values > limits.maxValues) {
    tape.length = token;
    return false;
  }
  cursor.offset = base + tape.at;
  if (tape.lines > 0) {
    cursor.line += tape.lines;
    cursor.lineStart = base + tape.lineStart;
  }
  return true;
}

/**
 * The same for a record that does not end in the window, is too large, or is no JSON: its brackets are counted to where
 * it ends. So it is read once more and not with every chunk, and what is wrong with it is said of the whole of it.
 */
async function takeAnyway(cursor: Cursor, origin: number): Promise<void> {
  const { offset, line, lineStart } = cursor;
  const from = placeOf(cursor);
  cursor.depth = cursor.values = 0;
  await passContainer(cursor, { from, keep: origin });
  const bytes = bytesBetween(cursor, offset, cursor.offset);
  Object.assign(cursor, { offset, line, lineStart });
  if (takeAtHand(cursor, origin)) return;
  textOf(cursor, from, bytes);
  refuseSyntax(cursor, from, bytes);
}

function isFull({ offset, limits }: Cursor, { from, ends }: Boundaries): boolean {
  return offset - from.offset >= limits.groupBytes || ends.length >= limits.groupRecords;
}

/** The records of these boundaries up to the first that is no UTF-8, if there are any, and the fault of that one. */
type ReadGroup = { readonly group: RecordGroup | null; readonly refused: Error | null };

function readGroup(cursor: Cursor, found: Boundaries, context: GroupContext): ReadGroup {
  const { from, before, ends } = found;
  const bytes = bytesBetween(cursor, from.offset, from.offset + (ends.at(-1) as number));
  if (isUtf8(bytes)) return { group: readRecords(cursor.tape, { found, bytes }, context), refused: null };
  const at = findInvalidUtf8(bytes);
  const count = ends.findIndex((end) => end > at);
  const refused = encodingFault(cursor, placeWithin(from, bytes, at), before + count);
  if (count === 0) return { group: null, refused };
  const valid = { found: firstOf(found, count, bytes), bytes };
  return { group: readRecords(cursor.tape, valid, context), refused };
}

function firstOf(found: Boundaries, count: number, bytes: Buffer): Boundaries {
  const ends = found.ends.slice(0, count);
  const { offset, line, column } = placeWithin(found.from, bytes, ends.at(-1) as number);
  return { ...found, ends, line, lineStart: offset - column + 1 };
}

/** Records and their bytes. */
type Found = { readonly found: Boundaries; readonly bytes: Buffer };

function readRecords(tape: Tape, { found, bytes }: Found, context: GroupContext): RecordGroup {
  const taped = { tokens: tape.tokens, bytes };
  const runs = runsOf(taped, found, context.take);
  const records = runs.flatMap((run) => readRun(taped, found, run));
  const next = positionBehind(found, context);
  return {
    records,
    count: found.ends.length,
    next,
    bytes: next.offset - context.since,
    rawText: toRawText(found, runs),
  };
}

function positionBehind({ from, before, ends, line, lineStart }: Boundaries, context: GroupContext): ReadPosition {
  const { shape, compression } = context;
  const offset = from.offset + (ends.at(-1) as number);
  return { offset, records: before + ends.length, state: { shape, compression, line, lineStart } };
}

/** Records of a group that stand side by side and are read alike. */
type Run = { readonly first: number; readonly summaries: TokenSummary[]; text: string };

/** Offers every record to whoever can do without its value, and answers the runs of those that are left. */
function runsOf(taped: Taped, found: Boundaries, take: TakeRecord | null): Run[] {
  const { before, starts, ends, tokens } = found;
  const runs: Run[] = [];
  const record: RawRecord = { ...taped, from: 0, to: 0, number: 0, token: 0 };
  let run: Run | null = null;
  for (let i = 0; i < ends.length; i += 1) {
    record.from = starts[i] as number;
    record.to = ends[i] as number;
    record.number = before + i + 1;
    record.token = tokens[i] as number;
    if (take?.(record)) {
      run = null;
      continue;
    }
    const summary = summarize(taped, record.token, tokens[i + 1] as number);
    if (run === null || run.summaries[0]?.needsExactRead !== summary.needsExactRead) {
      run = { first: i, summaries: [], text: "" };
      runs.push(run);
    }
    run.summaries.push(summary);
  }
  return runs;
}

function readRun(taped: Taped, found: Boundaries, run: Run): SourceRecord[] {
  const { from, before, starts, tokens } = found;
  run.text = textOfRun(taped.bytes, found, run);
  const parsed = run.summaries[0]?.needsExactRead ? null : (JSON.parse(`[${run.text}]`) as JsonValue[]);
  return run.summaries.map(({ members }, n) => {
    const i = run.first + n;
    const value = parsed?.[n];
    const place = { number: before + i + 1, offset: from.offset + (starts[i] as number) };
    if (value !== undefined && hasAllMembers(value, members)) return { ...place, value, duplicate: null };
    const exact = readExactly(taped, tokens[i] as number);
    return { ...place, value: value ?? exact.value, duplicate: exact.duplicate };
  });
}

const comma = 0x2c;

/** Between lines a comma takes the place of the first white space, for as long as it takes to decode them. */
function textOfRun(all: Buffer, { areLines, starts, ends }: Boundaries, { first, summaries }: Run): string {
  const last = first + summaries.length - 1;
  const bytes = all.subarray(starts[first], ends[last]);
  if (!areLines) return decodeUtf8(bytes);
  const separators = ends.slice(first, last);
  const replaced = separators.map((at) => all[at] as number);
  for (const at of separators) all[at] = comma;
  const text = decodeUtf8(bytes);
  for (const [n, at] of separators.entries()) all[at] = replaced[n] as number;
  return text;
}

/** Raw text is asked for rejects only: until then the texts of the runs are all that is kept. */
function toRawText({ before, starts, ends }: Boundaries, runs: readonly Run[]): RecordGroup["rawText"] {
  const encoded = new Map<Run, Buffer>();
  return ({ number }) => {
    const i = number - before - 1;
    const run = runs.findLast(({ first }) => first <= i) as Run;
    const bytes = encoded.get(run) ?? Buffer.from(run.text);
    encoded.set(run, bytes);
    const start = starts[run.first] as number;
    return bytes.toString("utf8", (starts[i] as number) - start, (ends[i] as number) - start);
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
