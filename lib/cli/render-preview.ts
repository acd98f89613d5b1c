import { clipText, escapeText } from "../core/escape-text.ts";
import type { Preview, TablePreview } from "../core/preview.ts";
import type { Reject } from "../core/rejects.ts";
import type { Paint } from "./cli-io.ts";
import { renderCounts, renderErrors } from "./render-load.ts";
import { formatCount, indent } from "./text-table.ts";

const sampleWidth = 100;

/** What a load would do: counts per table, then each table's strategy, fields and a sample, then what is wrong. */
export function renderPreview(preview: Preview, paint: Paint): string {
  const { batch_id: batchId, would_be: fate } = preview;
  const would = paint(fate === "success" ? "green" : "red", fate === "success" ? "would load" : "would fail");
  return [
    `${batchId}: ${would} (nothing was changed)`,
    "",
    renderCounts(preview.tables, preview),
    ...Object.entries(preview.tables).flatMap(([table, planned]) => ["", renderTable(table, planned, paint)]),
    ...renderFaults(preview),
  ].join("\n");
}

function renderTable(table: string, planned: TablePreview, paint: Paint): string {
  const { update_strategy: strategy, conflict_resolution: resolution, natural_key: key, fragments } = planned;
  const how = strategy === "insert_only" ? strategy : `${strategy}, ${resolution}`;
  const size = fragments.reduce((sum, fragment) => sum + fragment.size, 0);
  const lines = [
    `from ${fragments.length} fragment${fragments.length === 1 ? "" : "s"} (${formatCount(size)} bytes)`,
    `fields   ${planned.fields.join(", ")}`,
    ...countedLine("updates ", planned.updated_fields),
    ...countedLine("kept    ", planned.immutable_attempts),
    ...(planned.sample_record ? [`sample   ${clipText(JSON.stringify(planned.sample_record), sampleWidth)}`] : []),
  ];
  const on = escapeText(`${how} on ${key.join(", ")}`);
  return `${paint("bold", escapeText(table))}: ${on}\n${indent(lines.map(escapeText).join("\n"))}`;
}

function countedLine(label: string, counts: Readonly<Record<string, number>>): string[] {
  const entries = Object.entries(counts).map(([field, count]) => `${field} (${formatCount(count)})`);
  return entries.length === 0 ? [] : [`${label} ${entries.join(", ")}`];
}

function renderFaults({ errors, rejects, records_failed: failed }: Preview): string[] {
  if (errors.length === 0 && rejects.length === 0) return [];
  const faults = errors.map(({ code, message }) => escapeText(`${code}  ${message}`));
  const error = { code: "", message: "" };
  const records = rejects.map(toRecord);
  const listed = renderErrors({
    error,
    fragments: [],
    rejected: Math.max(failed, records.length),
    rejected_records: records,
  });
  return ["", "rejected", indent([...faults, listed].filter(Boolean).join("\n"))];
}

function toRecord({ raw: _, ...reject }: Reject) {
  return reject;
}
