import { escapeText } from "../core/escape-text.ts";
import { previewRunId } from "../core/keys.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Preview } from "../core/preview.ts";
import { adviceFor } from "./advice.ts";
import type { Command, LoadAction } from "./command.ts";
import { type ExitCode, exitCodeOf, exitCodes } from "./exit-codes.ts";
import { runExecution } from "./follow.ts";
import { toExecutionInput } from "./options.ts";
import { renderCounts } from "./render-load.ts";
import { renderPreview } from "./render-preview.ts";

type Previewed =
  | { readonly preview: Preview; readonly key: string | null; readonly summary: string; readonly outcome: Outcome }
  | { readonly preview: null; readonly outcome: Outcome };

/** Runs a dry run and reads its report. */
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

/** `preview`: what a load would do, without doing it. */
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
  const fault =
    "code" in outcome ? outcome : { code: "PREVIEW_MISSING", message: "its report is gone; preview it again" };
  const { code, message } = fault;
  const exitCode = "code" in outcome ? exitCodeOf(outcome) : exitCodes.unexpected;
  if (options.json) io.out(JSON.stringify({ batch_id: batchId, status: outcome.kind, code, message }, null, 2));
  else io.out(`${batchId}: no preview\n${escapeText(`${code}: ${message}`)}`);
  const advice = adviceFor(code, batchId);
  if (advice && !options.json) io.out(`what to do: ${advice}`);
  return exitCode;
}
