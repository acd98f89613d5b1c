import type { ReadPosition, RecordGroup, SourceRecord, TakeRecord } from "../core/records.ts";
import { type Boundaries, boundariesOf, boundariesOfAll } from "./boundaries.ts";
import {
  bytesBetween,
  type Cursor,
  endFault,
  type Medium,
  passContainer,
  placeOf,
  type Shape,
  scanOn,
} from "./cursor.ts";
import { readExactly } from "./exact-values.ts";
import { hasAllMembers } from "./members.ts";
import { stepToRecord, strangeFault } from "./next-record.ts";
import { runsToRead } from "./record-runs.ts";
import { parseRecords, type RecordValues } from "./record-values.ts";

export type Collected = {
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
export type ReadGroup = { readonly group: RecordGroup | null; readonly refused: Error | null };

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
