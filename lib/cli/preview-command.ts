import { previewRunId } from "../core/keys.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Preview, TablePreview } from "../core/preview.ts";
import { clipText, escapeText } from "../core/rejects.ts";
import type { Command, LoadAction } from "./connect.ts";
import { runExecution } from "./follow.ts";
import { toExecutionInput } from "./options.ts";
import { adviceFor, type ExitCode, exitCodeOf, exitCodes } from "./outcomes.ts";
import { renderCounts, renderErrors } from "./render-load.ts";
import { formatCount, indent, type Paint } from "./terminal.ts";

type Previewed =
  | { readonly preview: Preview; readonly key: string | null; readonly summary: string; readonly outcome: Outcome }
  | { readonly preview: null; readonly outcome: Outcome };

/** Makes a dry run and reads its report. */
export async function fetchPreview(
  { connection, io, options }: Command,
  batchId: string,
  action: LoadAction,
): Promise<Previewed> {
  const input = toExecutionInput(batchId, options, { action, dryRun: true });
  const outcome = await runExecution(connection, input, io);
  if (outcome.kind !== "previewed" || !outcome.result.report_key) return { preview: null, outcome };
  const runId = previewRunId(outcome.result.report_key);
  const { key, report } = await connection.operate({ operation: "preview", batchId, runId });
  if (report === null) return { preview: null, outcome };
  return { preview: report, key, summary: renderCounts(report.tables, report), outcome };
}

/** `preview`: shows what a load would do, without doing it. */
export async function showPreview(command: Command, batchId: string, action: LoadAction): Promise<ExitCode> {
  const { io, options } = command;
  const previewed = await fetchPreview(command, batchId, action);
  if (previewed.preview === null) return tellNoPreview(command, batchId, previewed.outcome);
  const { preview, key } = previewed;
  if (options.json) io.out(JSON.stringify({ ...preview, report_key: key }, null, 2));
  else io.out(`${renderPreview(preview, io.paint)}\n\nreport   ${key}`);
  return preview.would_be === "success" ? exitCodes.success : exitCodes.failed;
}

function tellNoPreview({ io, options }: Command, batchId: string, outcome: Outcome): ExitCode {
  const missing = { code: "PREVIEW_MISSING", message: "its report is gone; preview it again" };
  const { code, message } = "code" in outcome ? outcome : missing;
  const exitCode = "code" in outcome ? exitCodeOf(outcome) : exitCodes.unexpected;
  if (options.json) io.out(JSON.stringify({ batch_id: batchId, status: outcome.kind, code, message }, null, 2));
  else io.out(`${batchId}: no preview\n${escapeText(`${code}: ${message}`)}`);
  const advice = adviceFor(code, batchId);
  if (advice && !options.json) io.out(`what to do: ${advice}`);
  return exitCode;
}

const sampleWidth = 100;

/** Counts per table, then each table's strategy, fields and a sample, then errors and rejects. */
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
  const listed = renderErrors({
    error: { code: "", message: "" },
    fragments: [],
    rejected: Math.max(failed, rejects.length),
    rejected_records: rejects.map(({ raw: _, ...record }) => record),
  });
  return ["", "rejected", indent([...faults, listed].filter(Boolean).join("\n"))];
}
