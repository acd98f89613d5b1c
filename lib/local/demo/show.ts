import type { Preview } from "../../core/preview.ts";
import type { LoadResult, RecordCounts } from "../../core/report.ts";
import { type ExpectedCounts, type SampleTable, sampleTables } from "../sample/values.ts";
import type { DemoIo, Stage } from "./stage.ts";

export function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}

const textWidth = 96;

/** Breaks a long text at spaces. */
export function wrap(text: string): string {
  return text.replaceAll(new RegExp(`(.{1,${textWidth}})(?: +|$)`, "g"), "$1\n").trimEnd();
}

/** Number and names of the objects below a prefix. */
export function archiveText({ environment }: Stage, prefix: string): string {
  const names = environment.bucket.keys(prefix).map((key) => key.slice(prefix.length));
  const lines: string[] = [];
  for (const name of names) {
    const last = lines.at(-1);
    if (last === undefined || last.length + name.length > textWidth - 4) lines.push(name);
    else lines[lines.length - 1] = `${last}  ${name}`;
  }
  return indent([`${prefix} (${names.length} objects)`, ...lines.map((line) => `  ${line}`)].join("\n"));
}

/** Number of the objects that are left in staging. */
export function stagedText({ environment }: Stage, prefix: string): string {
  return indent(`${prefix} (${environment.bucket.keys(prefix).length} objects)`);
}

export async function queueText({ sql }: Stage, io: DemoIo, batchId: string): Promise<string> {
  const rows = await sql<
    { table_name: string; validation_status: string; approved_by: string; loaded: string | null }[]
  >`
    select table_name, validation_status, approved_by, to_char(loaded_at, 'HH24:MI:SS') as loaded
    from validation_queue where batch_id = ${batchId} order by id
  `;
  const columns = ["table_name", "validation_status", "approved_by", "loaded_at"].map((title) => ({ title }));
  const cells = rows.map((row) => [row.table_name, row.validation_status, row.approved_by, row.loaded ?? ""]);
  return indent(io.table(columns, cells));
}

function toCounts(counts: RecordCounts | undefined): ExpectedCounts {
  return {
    inserted: counts?.records_loaded ?? 0,
    updated: counts?.records_updated ?? 0,
    unchanged: counts?.records_unchanged ?? 0,
    skipped: counts?.records_skipped ?? 0,
  };
}

/** The prediction of each table beside the result of the load, and whether both are what the sample was made for. */
export function compare(
  io: DemoIo,
  predicted: Preview,
  loaded: Pick<LoadResult, "tables">,
  expected: Readonly<Record<SampleTable, ExpectedCounts>>,
): { text: string; agreed: boolean } {
  const rows = sampleTables.map((table) => {
    const sides = [toCounts(predicted.tables[table]), toCounts(loaded.tables[table]), expected[table]].map(countsText);
    return [table, sides[0] ?? "", sides[1] ?? "", new Set(sides).size === 1 ? "yes" : "NO"];
  });
  const title = "inserted / updated / unchanged / skipped";
  const columns = [{ title: "table" }, { title: "preview said" }, { title: "the load did" }, { title: "agree" }];
  return {
    text: indent(`${title}\n\n${io.table(columns, rows)}`),
    agreed: rows.every(([, , , agrees]) => agrees === "yes"),
  };
}

function countsText({ inserted, updated, unchanged, skipped }: ExpectedCounts): string {
  return [inserted, updated, unchanged, skipped].map((count) => String(count).padStart(5)).join(" /");
}
