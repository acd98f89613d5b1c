import { type Fingerprint, openFingerprint } from "../../../core/fingerprint.ts";
import type { JsonObject } from "../../../core/json.ts";
import type { TablePlan } from "../../../core/plan.ts";
import type { RawRecord, RecordGroup, SourceRecord } from "../../../core/records.ts";
import { cutRaw, maxStoredRejects, type Reject, showName } from "../../../core/rejects.ts";
import type { SliceEncoder, SliceWriter, TableEncoder } from "../../../core/target.ts";
import type { WorkItem } from "../../../core/work-item.ts";
import {
  appendNumber,
  appendText,
  type LineBuffer,
  openLineBuffer,
  reserve,
  resetLineBuffer,
  toCopyFields,
} from "./copy-text.ts";
import { type FastRecords, fastTableOf, openFastRecords, overheadOfColumn } from "./fast-records.ts";
import { type FieldReject, type Transform, transformOf } from "./record-to-row.ts";

/** Bytes for the item, the record number, their separators and the line end. */
const lineOverhead = 64;

/**
 * Turns the records of one table into lines of COPY text. A record whose values can all be copied as they stand takes
 * the fast path; any other one is parsed, and its values are converted.
 */
export function openTableEncoder(plan: TablePlan): TableEncoder {
  const table = fastTableOf(plan);
  const paths = { fast: table && openFastRecords(table), transform: transformOf(plan) };
  // Only one slice is encoded at a time, so the buffers serve all of them.
  const buffers: Buffers = [openLineBuffer(), openLineBuffer()];
  const overhead = lineOverhead + plan.columns.length * overheadOfColumn;
  return { begin: (item) => beginSlice({ ...paths, overhead, buffers }, item) };
}

type Paths = {
  readonly fast: FastRecords | null;
  readonly transform: Transform;
  readonly overhead: number;
  readonly buffers: Buffers;
};

type Slice = Paths & {
  readonly item: WorkItem;
  readonly lines: Lines;
  readonly fingerprint: Fingerprint;
  readonly rejects: Reject[];
  rejected: number;
  nulled: number;
};

function beginSlice(paths: Paths, item: WorkItem): SliceEncoder {
  const lines = openLines(paths.buffers);
  const slice: Slice = { ...paths, item, lines, fingerprint: openFingerprint(), rejects: [], rejected: 0, nulled: 0 };
  return {
    take: (record) => takeAsItStands(slice, record),
    send: async (group, writer) => {
      for (const record of group.records) takeExact(slice, group, record);
      await lines.send(writer);
    },
    end: async () => {
      await lines.settle();
      const { rejects, rejected, nulled, fingerprint } = slice;
      return { rejects, rejected, nulled, fingerprint: fingerprint.sum() };
    },
  };
}

function takeAsItStands(slice: Slice, record: RawRecord): boolean {
  if (slice.fast === null) return false;
  const { line } = slice.lines;
  reserve(line, record.to - record.from + slice.overhead);
  const start = line.end;
  const content = beginLine(slice, record.number);
  const nulled = slice.fast.append(record, line);
  if (nulled < 0) {
    line.end = start;
    return false;
  }
  slice.nulled += nulled;
  endLine(slice, content);
  return true;
}

function takeExact(slice: Slice, group: RecordGroup, record: SourceRecord): void {
  // The reader yields objects only: it refuses anything else with JSON_SHAPE.
  const row = record.duplicate === null ? slice.transform(record.value as JsonObject) : nameTwice(record.duplicate);
  if ("rejects" in row) {
    reject(slice, record, row.rejects, group.rawText(record));
    return;
  }
  const { line } = slice.lines;
  reserve(line, slice.overhead);
  const content = beginLine(slice, record.number);
  appendText(line, `${row.absent ?? "\\N"}\t${toCopyFields(row.values)}`);
  reserve(line, 1);
  slice.nulled += row.nulled;
  endLine(slice, content);
}

/** Returns the index at which the content begins, of which the fingerprint is made. */
function beginLine({ lines, item }: Slice, record: number): number {
  appendNumber(lines.line, item.itemId);
  appendNumber(lines.line, record);
  return lines.line.end;
}

const lineEnd = 0x0a;

function endLine({ lines, fingerprint }: Slice, content: number): void {
  const { line } = lines;
  fingerprint.add(line.bytes, content, line.end);
  line.bytes[line.end++] = lineEnd;
}

function reject(slice: Slice, record: SourceRecord, rejects: readonly FieldReject[], text: string): void {
  slice.fingerprint.addText(text);
  slice.rejected += 1;
  if (slice.rejects.length >= maxStoredRejects) return;
  const { table, object } = slice.item;
  const place = { table, key: object.key, record: record.number, constraint: null, raw: cutRaw(text) };
  slice.rejects.push(...rejects.map((one) => ({ ...place, ...one })));
}

/** Nobody can tell which of the two values was meant. */
function nameTwice(name: string): { readonly rejects: readonly FieldReject[] } {
  const [expected, got] = ["each name once in a record", "the name twice"];
  return { rejects: [{ field: showName(name), code: "COLUMN_AMBIGUOUS", expected, got }] };
}

type Buffers = readonly [LineBuffer, LineBuffer];
type Lines = { readonly line: LineBuffer; send(writer: SliceWriter): Promise<void>; settle(): Promise<void> };

/** Two buffers: while one is being sent, the other is filled. */
function openLines(buffers: Buffers): Lines {
  let [filling, sending] = buffers;
  for (const line of buffers) resetLineBuffer(line);
  let sent: Promise<void> = Promise.resolve();
  return {
    get line(): LineBuffer {
      return filling;
    },
    async send(writer: SliceWriter): Promise<void> {
      if (filling.end === 0) return;
      await sent;
      [filling, sending] = [sending, filling];
      filling.end = 0;
      sent = writer.write(sending.bytes.subarray(0, sending.end));
      // The next `await sent` throws the error; until then it must not count as unhandled.
      sent.catch(() => undefined);
    },
    settle: (): Promise<void> => sent,
  };
}
