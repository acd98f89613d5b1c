import type { Preview } from "../../core/preview.ts";
import type { LoadResult, RecordCounts } from "../../core/report.ts";
import { type ExpectedCounts, type SampleTable, sampleTables } from "../sample/values.ts";
import type { DemoIo } from "./demo-io.ts";
import type { Stage } from "./stage.ts";

export function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}

const textWidth = 96;

/** Breaks a long text at spaces. */
export function wrap(text: string): string {
  return text.replaceAll(new RegExp(`(.{1,${textWidth}})(?: +|$)`, "g"), "$1\n").trimEnd();
}

/** What lies below a prefix: how many objects, and a few of their names. */
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

/** How many objects are left in staging. */
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

type Side = {
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly skipped: number;
};

function sideOf(counts: RecordCounts | undefined): Side {
  return {
    inserted: counts?.records_loaded ?? 0,
    updated: counts?.records_updated ?? 0,
    unchanged: counts?.records_unchanged ?? 0,
    skipped: counts?.records_skipped ?? 0,
  };
}

type Comparison = {
  readonly predicted: Preview;
  readonly loaded: Pick<LoadResult, "tables">;
  readonly expected: Readonly<Record<SampleTable, ExpectedCounts>>;
};

/** Every table's prediction beside what the load did, and whether both are what the sample was made for. */
export function compare(io: DemoIo, { predicted, loaded, expected }: Comparison): { text: string; agreed: boolean } {
  const rows = sampleTables.map((table) => {
    const sides = [sideOf(predicted.tables[table]), sideOf(loaded.tables[table]), expected[table]].map(sideText);
    return [table, sides[0] ?? "", sides[1] ?? "", new Set(sides).size === 1 ? "yes" : "NO"];
  });
  const title = "inserted / updated / unchanged / skipped";
  const columns = [{ title: "table" }, { title: "preview said" }, { title: "the load did" }, { title: "agree" }];
  return {
    text: indent(`${title}\n\n${io.table(columns, rows)}`),
    agreed: rows.every(([, , , agrees]) => agrees === "yes"),
  };
}

function sideText({ inserted, updated, unchanged, skipped }: Side): string {
  return [inserted, updated, unchanged, skipped].map((count) => String(count).padStart(5)).join(" /");
}
