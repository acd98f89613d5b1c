import type { BatchStatus, BatchSummary, TableStatus } from "../core/operations.ts";
import { clipText } from "../core/rejects.ts";
import type { Command } from "./connect.ts";
import { checkBatchId } from "./options.ts";
import { CliError, type ExitCode, exitCodes } from "./outcomes.ts";
import { type Column, formatTime, indent, type Paint, shown, textTable } from "./terminal.ts";

/** `status`: shows everything that is known of one batch. */
export async function showStatus({ connection, io, options }: Command, batchId: string): Promise<ExitCode> {
  const { status } = await connection.operate({ operation: "status", batchId: checkBatchId(batchId) });
  if (status === null) {
    const text = `batch ${batchId} is unknown: it is neither in validation_queue nor was it ever started; see table-loader batches`;
    throw new CliError("BATCH_UNKNOWN", text);
  }
  io.out(options.json ? JSON.stringify(status, null, 2) : renderStatus(status, io.paint));
  return exitCodes.success;
}

/** `batches`: lists all batches that are known or lie in staging. */
export async function listBatches({ connection, io, options }: Command): Promise<ExitCode> {
  const { batches } = await connection.operate({ operation: "batches" });
  io.out(options.json ? JSON.stringify({ batches }, null, 2) : renderBatches(batches));
  return exitCodes.success;
}

const columns = (titles: readonly string[]): Column[] => titles.map((title) => ({ title }));
const shownReason = 90;
const shownOutcomes = 5;

/** State, tables, attempts, starts without an attempt, and repairs by the sweep. */
export function renderStatus(known: BatchStatus, paint: Paint): string {
  const status = shown(known);
  const { batch_id: batchId, state, health, epoch } = status;
  const style = health === "OK" ? "green" : health === "WAITING" ? "yellow" : "red";
  const reason = status.reason ? [`reason   ${status.reason_code}: ${status.reason}`] : [];
  const report = status.report_key ? [`report   ${status.report_key}`] : [];
  return [
    `${batchId}: ${state} (${paint(style, health)}, epoch ${epoch})`,
    ...reason,
    ...report,
    "",
    renderTables(status.tables),
    ...renderAttempts(status),
    ...renderOutcomes(status),
    ...renderHealings(status),
  ].join("\n");
}

function renderTables(tables: readonly TableStatus[]): string {
  const rows = tables.map((table) => [
    table.table,
    table.state ?? "-",
    table.validation_status ?? "not queued",
    approvalText(table),
    formatTime(table.loaded_at),
  ]);
  return textTable(columns(["table", "state", "queue", "approved", "loaded at"]), rows);
}

function approvalText({ approved, approved_by: by, approved_at: at }: TableStatus): string {
  if (!approved) return "no";
  return [`by ${by ?? "unknown"}`, formatTime(at)].filter(Boolean).join(" ");
}

function renderAttempts({ attempts }: BatchStatus): string[] {
  if (attempts.length === 0) return [];
  const rows = attempts.map(({ attempt, epoch, state, source, code, started_at: started, ended_at: ended }) => [
    `${epoch}.${attempt}`,
    state,
    source,
    formatTime(started),
    formatTime(ended),
    code ?? "",
  ]);
  const titles = ["attempt", "state", "started by", "started", "ended", "code"];
  const messages = attempts.slice(0, 1).flatMap(({ message }) => (message ? [`last: ${message}`] : []));
  return ["", textTable(columns(titles), rows), ...messages];
}

function renderOutcomes({ outcomes }: BatchStatus): string[] {
  if (outcomes.length === 0) return [];
  const lines = outcomes
    .slice(0, shownOutcomes)
    .map(({ code, source, times, last_at: at }) => `${formatTime(at)}  ${code} (${source}, ${times}x)`);
  return ["", "starts that came to nothing", indent(lines.join("\n"))];
}

function renderHealings({ healings }: BatchStatus): string[] {
  if (healings.length === 0) return [];
  const lines = healings.map(({ kind, detail, healed_at: at }) => `${formatTime(at)}  ${kind}: ${detail}`);
  return ["", "healed by the sweep", indent(lines.join("\n"))];
}

/** One line for each batch, the newest first. */
export function renderBatches(batches: readonly BatchSummary[]): string {
  if (batches.length === 0) return "no batch is known, and none lies in staging";
  const rows = shown(batches).map((batch) => [
    batch.batch_id,
    batch.state,
    `${batch.approved_tables}/${batch.tables}`,
    batch.in_staging ? "yes" : "no",
    formatTime(batch.updated_at),
    clipText(batch.reason_code ?? "", shownReason),
  ]);
  return textTable(columns(["batch", "state", "approved", "in staging", "updated", "reason"]), rows);
}
