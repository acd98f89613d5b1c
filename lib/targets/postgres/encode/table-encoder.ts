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
import { type FieldFault, type Transform, transformOf } from "./transform.ts";

/**
 * Turns the records of one table into lines of COPY text: a record whose every value can be copied as it stands takes
 * the fast path on its bytes, any other one is parsed and converted value by value.
 */
export function openTableEncoder(plan: TablePlan): TableEncoder {
  const table = fastTableOf(plan);
  const paths = { fast: table && openFastRecords(table), transform: transformOf(plan) };
  // One slice at a time: the buffers serve all of them.
  const buffers: Buffers = [openLineBuffer(), openLineBuffer()];
  const overhead = lineOverhead + plan.columns.length * overheadOfColumn;
  return { begin: (item) => beginSlice({ ...paths, overhead, buffers }, item) };
}

/** Item, record number, their separators and the line end. */
const lineOverhead = 64;
const lineEnd = 0x0a;

type Paths = {
  readonly fast: FastRecords | null;
  readonly transform: Transform;
  readonly overhead: number;
  readonly buffers: Buffers;
};

/** A slice while it is read. */
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
  // The reader hands over objects only: anything else is JSON_SHAPE there.
  const row = record.duplicate === null ? slice.transform(record.value as JsonObject) : nameTwice(record.duplicate);
  if ("faults" in row) {
    reject(slice, { record, faults: row.faults, text: group.rawText(record) });
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

/** Answers where the content begins: what the fingerprint is made of. */
function beginLine({ lines, item }: Slice, record: number): number {
  appendNumber(lines.line, item.itemId);
  appendNumber(lines.line, record);
  return lines.line.end;
}

function endLine({ lines, fingerprint }: Slice, content: number): void {
  const { line } = lines;
  fingerprint.add(line.bytes, content, line.end);
  line.bytes[line.end++] = lineEnd;
}

type Rejected = { readonly record: SourceRecord; readonly faults: readonly FieldFault[]; readonly text: string };

function reject(slice: Slice, { record, faults, text }: Rejected): void {
  slice.fingerprint.addText(text);
  slice.rejected += 1;
  if (slice.rejects.length >= maxStoredRejects) return;
  const { table, object } = slice.item;
  const place = { table, key: object.key, record: record.number, constraint: null, raw: cutRaw(text) };
  slice.rejects.push(...faults.map((fault) => ({ ...place, ...fault })));
}

/** Which of the two values was meant, nobody can tell. */
function nameTwice(name: string): { readonly faults: readonly FieldFault[] } {
  const [expected, got] = ["each name once in a record", "the name twice"];
  return { faults: [{ field: showName(name), code: "COLUMN_AMBIGUOUS", expected, got }] };
}

type Buffers = readonly [LineBuffer, LineBuffer];
type Lines = { readonly line: LineBuffer; send(writer: SliceWriter): Promise<void>; settle(): Promise<void> };

/** Two buffers: while one is on its way, the other is filled. */
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
      // Whoever waits for it next gets the error; until then it is not an unhandled one.
      sent.catch(() => undefined);
    },
    settle: (): Promise<void> => sent,
  };
}
