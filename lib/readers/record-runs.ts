import { isUtf8 } from "node:buffer";
import type { RawRecord, TakeRecord } from "../core/records.ts";
import type { Boundaries, Run } from "./boundaries.ts";
import { bytesBetween, type Cursor } from "./cursor.ts";

/** Offers every record to whoever can do without its value, and answers the runs of those that are left. */
export function runsToRead(cursor: Cursor, found: Boundaries, take: TakeRecord | null): Run[] {
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
