import { settings } from "../config.ts";
import type { ErrorSummary, Stored } from "../core/operations.ts";
import type { Outcome } from "../core/outcome.ts";
import { escapeText } from "../core/rejects.ts";
import type { LoadResult } from "../core/report.ts";
import type { Command, Connection, LoadAction } from "./connect.ts";
import { runExecution } from "./follow.ts";
import { checkBatchId, toExecutionInput } from "./options.ts";
import { adviceFor, type ExitCode, exitCodeOf, exitCodes } from "./outcomes.ts";
import { fetchPreview, showPreview } from "./preview-command.ts";
import { renderErrors, renderLoad } from "./render-load.ts";
import { type CliIo, indent } from "./terminal.ts";

/** `load` and `retry`: on a terminal shows the preview and asks; then loads and shows the result. */
export async function loadBatch(command: Command, batchId: string, action: LoadAction): Promise<ExitCode> {
  const dryRun = command.options.dryRun ?? settings().dryRun;
  if (dryRun) return showPreview(command, batchId, action);
  if (!(await isConfirmed(command, batchId, action))) {
    command.io.note("nothing was loaded");
    return exitCodes.success;
  }
  return loadUnasked(command, batchId, action);
}

/** Asks on a terminal, but not with --force, --yes or --json. */
async function isConfirmed(command: Command, batchId: string, action: LoadAction): Promise<boolean> {
  const { io, options } = command;
  if (io.ask === null || options.force || options.yes || options.json) return true;
  const previewed = await fetchPreview(command, batchId, action);
  // a batch that cannot be previewed cannot be loaded either, and the load says why
  if (previewed.preview === null) return true;
  io.out(previewed.summary);
  return io.ask(
    previewed.preview.would_be === "success" ? `load ${batchId}?` : `load ${batchId} although it will fail?`,
  );
}

async function loadUnasked(command: Command, batchId: string, action: LoadAction): Promise<ExitCode> {
  const { connection, io, options } = command;
  const input = toExecutionInput(batchId, options, { action, dryRun: false });
  const outcome = await runExecution(connection, input, io);
  const ending = await readEnding(connection, outcome, batchId);
  if (options.json) io.out(JSON.stringify(toJson(batchId, ending), null, 2));
  else tellEnding(io, batchId, ending);
  return exitCodeOf(outcome);
}

type Result = Omit<LoadResult, "errors">;

/** An outcome with its report and its error log. */
type Ending = {
  readonly outcome: Outcome;
  readonly result: Result | null;
  readonly errors: Stored<ErrorSummary> | null;
};

async function readEnding({ operate }: Connection, outcome: Outcome, batchId: string): Promise<Ending> {
  if (outcome.kind === "loaded") return { outcome, result: await withTables(operate, outcome.result), errors: null };
  if (outcome.kind !== "failed" && outcome.kind !== "already_processed") return { outcome, result: null, errors: null };
  const { report: result } = await operate({ operation: "report", batchId });
  const errors = outcome.kind === "failed" ? await operate({ operation: "errors", batchId }) : null;
  return { outcome, result, errors };
}

/** Reads the report if the result lacks its tables: with very many of them the machine answers only with totals. */
async function withTables(operate: Connection["operate"], result: Result): Promise<Result> {
  if (Object.keys(result.tables).length > 0) return result;
  const { report } = await operate({ operation: "report", batchId: result.batch_id });
  return report ?? result;
}

/** Statuses of a load result for outcomes that are named otherwise; all other outcomes keep their name. */
const jsonStatus: Readonly<Record<string, string>> = { failed_before: "failed", aborted: "failed" };

function toJson(batchId: string, { outcome, result, errors }: Ending): object {
  const fault =
    outcome.kind === "loaded" || outcome.kind === "previewed"
      ? {}
      : {
          batch_id: batchId,
          status: jsonStatus[outcome.kind] ?? outcome.kind,
          code: outcome.code,
          message: outcome.message,
        };
  const log = errors?.report
    ? {
        error_log_key: errors.key,
        records_rejected: errors.report.rejected,
        rejected_records: errors.report.rejected_records,
        failed_fragments: errors.report.fragments,
      }
    : {};
  return { ...result, ...fault, ...log };
}

function tellEnding(io: CliIo, batchId: string, { outcome, result, errors }: Ending): void {
  if (outcome.kind === "loaded" || outcome.kind === "previewed") {
    io.out(renderLoad(result ?? outcome.result, io.paint));
    return;
  }
  const style = exitCodeOf(outcome) === exitCodes.success ? "green" : "red";
  io.out(`${batchId}: ${io.paint(style, outcome.kind.replaceAll("_", " "))}`);
  io.out(escapeText(`${outcome.code}: ${outcome.message}`));
  if (outcome.kind === "already_processed" && result) io.out(`\n${renderLoad(result, io.paint)}`);
  if (errors?.report) io.out(`\n${indent(renderErrors(errors.report))}\n\nerror log  ${errors.key}`);
  if (outcome.kind === "blocked") io.out("it is not the batch's fault, and goes on by itself when the fault is gone");
  const advice = adviceFor(outcome.code, batchId);
  if (advice) io.out(`what to do: ${advice}`);
}

/** `approve`: records the approval, then loads unless `--no-load` is given. */
export async function approveBatch(command: Command, batchId: string): Promise<ExitCode> {
  const { connection, io, options } = command;
  const approval = await connection.operate({
    operation: "approve",
    batchId: checkBatchId(batchId),
    approvedBy: options.by ?? io.user,
    ...(options.tableName ? { tables: [...new Set(options.tableName)] } : {}),
  });
  const { approved, created } = approval;
  const added = created.length > 0 ? `; new in validation_queue: ${created.join(", ")}` : "";
  const text = escapeText(`${batchId}: approved ${approved.join(", ")} by ${options.by ?? io.user}${added}`);
  if (options.load !== false) {
    io.note(text);
    return loadUnasked(command, batchId, "load");
  }
  io.out(options.json ? JSON.stringify(approval, null, 2) : text);
  return exitCodes.success;
}
