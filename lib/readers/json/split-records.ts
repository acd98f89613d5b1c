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

/** `since` is the offset at which the previous group ended; `take` is offered each record before it is parsed. */
type GroupContext = Medium & { readonly since: number; readonly take: TakeRecord | null };

/** Reads the records from the cursor on, in groups. Yields all complete records before it throws a fault. */
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

/** Complete records in the window, with their tokens on the tape. Starts and ends count from the byte at `from`. */
type Boundaries = {
  readonly from: Place;
  /** NDJSON: the records have no commas between them. */
  readonly areLines: boolean;
  /** Number of records of the fragment before these. */
  readonly before: number;
  readonly starts: number[];
  readonly ends: number[];
  /** Index on the tape at which each record begins, and behind the last one. */
  readonly tokens: number[];
  /** The line in which the last one ends, and where that line begins. */
  line: number;
  lineStart: number;
};

/** Finds the boundaries of about a group of records; null if none is left. A fault comes with the records before it. */
async function collectRecords(cursor: Cursor, shape: Shape) {
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
        // looking ahead may push the collected records out of the window, so they are yielded first
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

/** Moves to the next record, to the bracket behind the last, or to the end of the window. */
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

/** The fault of what stands in place of a record or a separator. */
async function strangeFault(cursor: Cursor, shape: Shape) {
  const { bytes, isAll } = await lookAhead(cursor);
  if (cursor.expects === "separator") {
    const expected = shape === "ndjson" ? "a line end" : '"," or "]"';
    return faultHere(cursor, "JSON_SYNTAX", `no JSON: expected ${expected} after the record`);
  }
  if (cursor.expects === "record" && bytes[0] === 0x5d) {
    return faultHere(cursor, "JSON_SYNTAX", "no JSON: a comma before the closing bracket");
  }
  const fault = findSyntaxFault(bytes, cursor.limits.maxDepth, true);
  if (fault?.kind === "syntax") return syntaxFault(cursor, placeOf(cursor), bytes, fault);
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

/** Takes the record at the cursor, and then those that are in the window already, without an `await` for each. */
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

/** Puts the record at the cursor on the tape and passes it. False, and nothing changed, if `takeAnyway` has to. */
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
 * Takes a record that does not end in the window, is too large, or is not JSON: first finds its end by its brackets.
 * So it is tokenized once more and not with every chunk, and a fault is looked for in all of it.
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

/** The records up to the first that is not UTF-8, if there are any, and the fault of that one. */
function readGroup(cursor: Cursor, found: Boundaries, context: GroupContext) {
  const { from, before, ends } = found;
  const bytes = bytesBetween(cursor, from.offset, from.offset + (ends.at(-1) as number));
  if (isUtf8(bytes)) return { group: readRecords(cursor.tape, found, bytes, context), refused: null };
  const at = findInvalidUtf8(bytes);
  const count = ends.findIndex((end) => end > at);
  const refused = encodingFault(cursor, placeWithin(from, bytes, at), before + count);
  if (count === 0) return { group: null, refused };
  return { group: readRecords(cursor.tape, firstOf(found, count, bytes), bytes, context), refused };
}

function firstOf(found: Boundaries, count: number, bytes: Buffer): Boundaries {
  const ends = found.ends.slice(0, count);
  const { offset, line, column } = placeWithin(found.from, bytes, ends.at(-1) as number);
  return { ...found, ends, line, lineStart: offset - column + 1 };
}

function readRecords({ tokens }: Tape, found: Boundaries, bytes: Buffer, context: GroupContext): RecordGroup {
  const taped = { tokens, bytes };
  const runs = runsOf(taped, found, context.take);
  const records = runs.flatMap((run) => readRun(taped, found, run));
  const next = positionBehind(found, context);
  const rawText = toRawText(found, runs);
  return { records, count: found.ends.length, next, bytes: next.offset - context.since, rawText };
}

function positionBehind({ from, before, ends, line, lineStart }: Boundaries, context: GroupContext): ReadPosition {
  const { shape, compression } = context;
  const offset = from.offset + (ends.at(-1) as number);
  return { offset, records: before + ends.length, state: { shape, compression, line, lineStart } };
}

/** Neighbouring records of a group that are read in the same way. */
type Run = { readonly first: number; readonly summaries: TokenSummary[]; text: string };

/** Offers every record to `take`, and returns the runs of those that it leaves. */
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

/** The text of a run, with commas between its records. On lines they replace the byte behind each while decoding. */
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

/** Raw text is needed for rejects only, so nothing but the texts of the runs is kept for it. */
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

/** Whether an object kept all members that were written. Counting its own names settles it for a flat one. */
function hasAllMembers(value: JsonValue, written: number): boolean {
  let own = 0;
  for (const _ in value as JsonObject) own++;
  return own === written || countMembers(value) === written;
}

/** Members of all objects in a value: fewer than written if a name stands twice, since `JSON.parse` keeps the last. */
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
