import type { BatchState } from "../core/batch.ts";
import { decideBatch } from "../core/decide.ts";
import type { Fault } from "../core/errors.ts";
import { executionInput } from "../core/execution.ts";
import { failedPrefixOf, loadedPrefixOf, loadResultKey, previewKey } from "../core/keys.ts";
import { kinds } from "../core/kinds.ts";
import type { Answer } from "../core/machine.ts";
import { measuresOfResult } from "../core/metrics.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { AttemptStatus, Attempts, BatchRecords, CrashPointHook, Gauges, Plans } from "../core/ports.ts";
import type { Preview } from "../core/preview.ts";
import { type LoadResult, noCounts, noticeOf, sumCounts } from "../core/report.ts";
import type { Run, TaskRequest } from "../core/run.ts";
import { findStagedSources, readFacts } from "./find-sources.ts";
import { writeReport } from "./reports.ts";

/** CloseBatch: writes the report, then in one transaction ends attempt and lease and drops plan and staging. */

type ClosePorts = {
  readonly attempts: Attempts;
  readonly plans: Plans;
  readonly records: BatchRecords;
  readonly store: ObjectStore;
  readonly gauges: Gauges;
  readonly crashPoint: CrashPointHook;
  readonly settings: { readonly requireApproval: boolean };
};

/** The load result as the machine sees it: ids and counts, with its first error as `code` and `message`. */
type CloseAnswer = {
  readonly next: Answer<"CloseBatch">;
  readonly result: Omit<LoadResult, "errors"> & {
    readonly code: string;
    readonly message: string;
    readonly notice: string;
  };
};

export async function closeBatch(ports: ClosePorts, { run }: TaskRequest): Promise<CloseAnswer> {
  if (kinds[run.kind].report === "preview") return closePreview(ports, run);
  const attemptStatus = await ports.attempts.attemptStatus(run);
  if (attemptStatus.closed) return toAnswer(await lookAgain(ports, run, attemptStatus), attemptStatus.closed);
  const result = toResult(run, attemptStatus);
  if (result.report_key) {
    await writeReport(ports.store, result.report_key, result, async () => {
      await ports.attempts.attemptStatus(run);
      await ports.crashPoint("before-report");
    });
  }
  await ports.crashPoint("after-report");
  const state: BatchState = attemptStatus.state === "failing" ? "failed" : "loaded";
  const ended = await ports.attempts.close(run, { state, result, fault: attemptStatus.fault });
  if (kinds[run.kind].measured) ports.gauges.emit(measuresOfResult(result));
  await ports.crashPoint("after-close");
  return toAnswer(ended === "again" ? await lookAgain(ports, run, attemptStatus) : "closed", result);
}

/**
 * Looks again at a batch only if staging holds something to load or compare: most wakes come from the very objects that
 * were loaded, and an arrival from here on finds the batch free. A failed batch is left to a retry.
 */
async function lookAgain(ports: ClosePorts, run: Run, attemptStatus: AttemptStatus): Promise<CloseAnswer["next"]> {
  if (attemptStatus.state === "failing" || attemptStatus.state === "failed" || attemptStatus.fault) return "closed";
  const { batchId, epoch } = run;
  const facts = await readFacts(
    ports,
    { batchId, epoch, state: "loaded" },
    await findStagedSources(ports.store, batchId),
  );
  const decision = decideBatch(facts, executionInput.parse({ batchId, source: "arrival" }));
  return decision.do === "load" || decision.do === "compare" ? "again" : "closed";
}

/** Answers the counts of the preview's report, which is its only trace. */
async function closePreview({ plans, store }: ClosePorts, run: Run): Promise<CloseAnswer> {
  await plans.discard(run.planId);
  const key = previewKey(run.batchId, run.runId);
  const stored = await store.readText(key);
  const report = stored && (JSON.parse(stored.text) as Preview);
  const counts = report ? sumCounts([report]) : noCounts;
  const judged = report !== null && Object.keys(report.tables).length > 0;
  const result: LoadResult = {
    ...emptyResult(run),
    ...counts,
    status: judged ? kinds[run.kind].status : "failed",
    total_records: counts.records_read,
    errors: judged ? [] : (report?.errors ?? [previewLost]),
    report_key: report && key,
  };
  return toAnswer("closed", result);
}

const previewLost: Fault = { code: "PREVIEW_LOST", message: "the preview came to no report; start it again" };

function toResult(run: Run, attemptStatus: AttemptStatus): LoadResult {
  const counts = sumCounts(Object.values(attemptStatus.tables));
  const failed = attemptStatus.state === "failing";
  const { commits, status } = kinds[run.kind];
  const folder = failed ? failedPrefixOf(run.batchId, run.attempt) : loadedPrefixOf(run.batchId, run.epoch);
  return {
    ...emptyResult(run),
    ...counts,
    status: failed || (!commits && attemptStatus.fault) ? "failed" : status,
    tables: attemptStatus.tables,
    total_records: counts.records_read,
    total_time_seconds: (attemptStatus.now.getTime() - attemptStatus.startedAt.getTime()) / 1000,
    errors: attemptStatus.fault ? [attemptStatus.fault] : [],
    duplicate_of: attemptStatus.duplicateOf,
    report_key: loadResultKey(folder, run.attempt),
  };
}

function emptyResult(run: Run): LoadResult {
  return {
    batch_id: run.batchId,
    epoch: run.epoch,
    attempt: run.attempt,
    status: "preview",
    tables: {},
    total_records: 0,
    total_time_seconds: 0,
    errors: [],
    duplicate_of: [],
    report_key: null,
    ...noCounts,
  };
}

/** Step Functions carries 256 KiB at most: of more tables only the totals go back, and the report has them all. */
const maxTablesInAnswer = 200;

function toAnswer(next: CloseAnswer["next"], result: LoadResult): CloseAnswer {
  const { errors, ...rest } = result;
  const [first] = errors;
  const tables = Object.keys(result.tables).length > maxTablesInAnswer ? {} : result.tables;
  const fault = { code: first?.code ?? "", message: first?.message ?? "" };
  return { next, result: { ...rest, tables, ...fault, notice: noticeOf(result) } };
}
