import type { ErrorSummary, RejectedRecord } from "../core/operations.ts";
import { clipText } from "../core/rejects.ts";
import type { LoadResult, RecordCounts, TableResult } from "../core/report.ts";
import {
  type Column,
  formatCount,
  formatSeconds,
  indent,
  type Paint,
  type Style,
  shown,
  textTable,
} from "./terminal.ts";

type Result = Omit<LoadResult, "errors">;

const countColumns: readonly (readonly [title: string, member: keyof RecordCounts])[] = [
  ["read", "records_read"],
  ["inserted", "records_loaded"],
  ["updated", "records_updated"],
  ["unchanged", "records_unchanged"],
  ["skipped", "records_skipped"],
  ["collapsed", "records_collapsed"],
  ["deleted", "records_deleted"],
  ["rejected", "records_failed"],
];

/** A table of the counts, with their sum below. The columns for deletions and seconds appear only if there are any. */
export function renderCounts(
  tables: Readonly<Record<string, RecordCounts & { readonly load_time_seconds?: number }>>,
  total: RecordCounts & { readonly total_time_seconds?: number },
): string {
  const columns = countColumns.filter(([, member]) => member !== "records_deleted" || total.records_deleted > 0);
  const timed = total.total_time_seconds !== undefined;
  const cells = (counts: RecordCounts, seconds: number | undefined): string[] => [
    ...columns.map(([, member]) => formatCount(counts[member])),
    ...(timed ? [formatSeconds(seconds ?? 0)] : []),
  ];
  const titles: Column[] = [
    { title: "table" },
    ...columns.map(([title]): Column => ({ title, align: "right" })),
    ...(timed ? [{ title: "seconds", align: "right" } as const] : []),
  ];
  const rows = Object.entries(shown(tables)).map(([table, counts]) => [
    table,
    ...cells(counts, counts.load_time_seconds),
  ]);
  return textTable(titles, [...rows, ["total", ...cells(total, total.total_time_seconds)]]);
}

const statusStyles: Readonly<Record<string, Style>> = { success: "green", already_processed: "green", failed: "red" };

/** Counts per table, warnings, and the keys of report and archive. */
export function renderLoad(loaded: Result, paint: Paint): string {
  const result = shown(loaded);
  const { batch_id: batchId, status, epoch, attempt } = result;
  const head = `${batchId}: ${paint(statusStyles[status] ?? "yellow", status)} (epoch ${epoch}, attempt ${attempt})`;
  const tables = Object.keys(result.tables).length > 0 ? ["", renderCounts(result.tables, result)] : [];
  return [head, ...tables, ...renderWarnings(result.tables), ...renderPlaces(result)].join("\n");
}

function renderWarnings(tables: Readonly<Record<string, TableResult>>): string[] {
  const lines = Object.entries(tables).flatMap(([table, { warnings }]) => warnings.map((text) => `${table}: ${text}`));
  return lines.length === 0 ? [] : ["", "warnings", indent(lines.join("\n"))];
}

function renderPlaces({ report_key: key, duplicate_of: duplicates, status }: Result): string[] {
  if (key === null) return [];
  const folder = key.slice(0, key.lastIndexOf("/") + 1);
  const archive = status === "already_processed" ? [] : [`archive  ${folder}`];
  const same = duplicates.length === 0 ? [] : [`same content as ${duplicates.join(", ")}, which was loaded before`];
  return ["", `report   ${key}`, ...archive, ...same];
}

const shownRecords = 10;
const shownText = 100;
/** Characters of a fault, which names a fragment and a place in it. */
const longestFault = 2_000;

/** The first ten unreadable fragments and the first ten rejects of error_log.json. */
export function renderErrors({ fragments, rejected, rejected_records: records }: ErrorSummary): string {
  const faults = fragments.slice(0, shownRecords).map(faultText);
  const first = records.slice(0, shownRecords);
  const more = rejected > first.length ? [`... and ${formatCount(rejected - first.length)} more`] : [];
  return [...faults, ...first.map(rejectText), ...more].join("\n");
}

function faultText({ key, code, message }: ErrorSummary["fragments"][number]): string {
  return `${clipText(key, longestFault)}: ${code}\n  ${clipText(message, longestFault)}`;
}

function rejectText({ key, record, field, code, got, expected, constraint }: RejectedRecord): string {
  const value = got === null ? "" : ` got ${got}`;
  const rule = constraint === null ? expected : `${expected} (${constraint})`;
  return `${clipText(`${key} record ${record}: ${code}`, 2 * shownText)}\n  ${clipText(`${field ?? "record"}${value}`, shownText)}\n  expected ${clipText(rule, shownText)}`;
}
