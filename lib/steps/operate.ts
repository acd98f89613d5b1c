import { groupSources } from "../core/batch.ts";
import { PermanentError } from "../core/errors.ts";
import { badBatchId, type ExecutionInput, type Executions, isBatchId } from "../core/execution.ts";
import { errorLogKey, failedPrefixOf, previewKey, stagingPrefix } from "../core/keys.ts";
import type { ObjectStore } from "../core/objects.ts";
import {
  type BatchSummary,
  type ErrorSummary,
  maxListedRejects,
  type OperateRequest,
  type Operations,
  type Stored,
} from "../core/operations.ts";
import type { BatchRecords } from "../core/ports.ts";
import type { Preview } from "../core/preview.ts";
import type { LoadResult } from "../core/report.ts";
import { type DoctorPorts, diagnose } from "./diagnose.ts";
import { findSources, toSeenObject } from "./find-sources.ts";
import type { ErrorLog } from "./reports.ts";

/** operate: answers what the CLI asks, from beside the database. */

type OperatePorts = {
  readonly executions: Executions;
  readonly operations: Operations;
  readonly records: BatchRecords;
  readonly store: ObjectStore;
  readonly newId: () => string;
  readonly settings: { readonly batchIdPattern: RegExp };
};

/** Opened on demand: a diagnosis has to report what the ports of all other operations would fail with. */
type OperatorPorts = {
  readonly starter: () => Promise<OperatePorts>;
  readonly doctor: () => DoctorPorts;
};

/** @param deadline milliseconds since the epoch, when this invocation ends */
export async function operate(ports: OperatorPorts, request: OperateRequest, deadline: number): Promise<unknown> {
  if (request.operation === "doctor") return diagnose(ports.doctor(), deadline);
  return perform(await ports.starter(), request);
}

async function perform(
  ports: OperatePorts,
  request: Exclude<OperateRequest, { operation: "doctor" }>,
): Promise<unknown> {
  switch (request.operation) {
    case "start":
      return start(ports, request.input);
    case "execution":
      return ports.executions.describe(request.executionArn);
    case "approve":
      return approve(ports, request);
    case "status":
      return { status: await ports.operations.status(checkedId(ports, request.batchId)) };
    case "batches":
      return { batches: await batches(ports) };
    case "preview":
      return preview(ports, previewKey(checkedId(ports, request.batchId), request.runId));
    case "report":
      return newestReport(ports, checkedId(ports, request.batchId));
    case "errors":
      return newestErrors(ports, checkedId(ports, request.batchId));
  }
}

function checkedId({ settings }: OperatePorts, batchId: string): string {
  if (isBatchId(batchId, settings.batchIdPattern)) return batchId;
  const { code, message } = badBatchId(batchId, settings.batchIdPattern);
  throw new PermanentError(code, message);
}

async function start(ports: OperatePorts, input: ExecutionInput): Promise<{ executionArn: string }> {
  const batchId = checkedId(ports, input.batchId);
  const name = `${batchId}-${input.action}-${ports.newId().slice(0, 8)}`;
  const { executionArn } = await ports.executions.start(name, input);
  return { executionArn };
}

/**
 * Records the approval of a batch. The versions in staging are recorded first: the approval covers them, even if a key
 * was replaced before.
 */
async function approve(
  ports: OperatePorts,
  { batchId, tables, approvedBy }: Extract<OperateRequest, { operation: "approve" }>,
): Promise<object> {
  const id = checkedId(ports, batchId);
  const epoch = await ports.operations.epochOf(id);
  const sources = await findSources(ports, { batchId: id, epoch, retry: false, lookInArchive: true });
  const inStaging = sources.filter(({ origin }) => origin === "staging");
  await ports.records.recordSeen(id, epoch, inStaging.map(toSeenObject));
  const staged = groupSources(sources).map(({ table }) => table);
  const queued = (await ports.records.queue(id)).map(({ table }) => table);
  const known = [...new Set([...staged, ...queued])];
  const wanted = tables ?? known;
  const unknown = wanted.filter((table) => !known.includes(table));
  if (wanted.length === 0 || unknown.length > 0) {
    const what = unknown.length > 0 ? `table ${unknown.join(", ")} has` : "it has";
    const text = `batch ${id} cannot be approved: ${what} neither fragments in staging nor rows in validation_queue; drop fragments first`;
    throw new PermanentError("NOTHING_TO_APPROVE", text);
  }
  return ports.operations.approve(id, wanted, approvedBy);
}

async function batches({ operations, store }: OperatePorts): Promise<BatchSummary[]> {
  const known = await operations.summaries();
  const folders = new Set<string>();
  for await (const folder of store.folders(stagingPrefix)) folders.add(folder);
  const listed = known.map((summary) => ({ ...summary, in_staging: folders.has(summary.batch_id) }));
  const names = new Set(known.map(({ batch_id: batchId }) => batchId));
  const unseen = [...folders].filter((folder) => !names.has(folder)).map(toUnseen);
  return [...unseen, ...listed];
}

function toUnseen(batchId: string): BatchSummary {
  const nothing = { reason_code: null, reason: null, tables: 0, approved_tables: 0, updated_at: null };
  return { batch_id: batchId, state: "staged", in_staging: true, ...nothing };
}

async function preview(ports: OperatePorts, key: string): Promise<Stored<Preview>> {
  const stored = await readReport<Preview>(ports, key);
  if (stored.report === null) return stored;
  const rejects = stored.report.rejects.slice(0, maxListedRejects).map((reject) => ({ ...reject, raw: null }));
  return { key, report: { ...stored.report, rejects } };
}

async function newestReport(ports: OperatePorts, batchId: string): Promise<Stored<LoadResult>> {
  const status = await ports.operations.status(batchId);
  return status?.report_key ? readReport<LoadResult>(ports, status.report_key) : { key: null, report: null };
}

async function newestErrors(ports: OperatePorts, batchId: string): Promise<Stored<ErrorSummary>> {
  const status = await ports.operations.status(batchId);
  const failed = status?.attempts.find(({ state }) => state === "failed");
  if (!failed) return { key: null, report: null };
  const { key, report } = await readReport<ErrorLog>(ports, errorLogKey(failedPrefixOf(batchId, failed.attempt)));
  return { key, report: report && summarise(report) };
}

function summarise({ error, fragments, rejected_records: rejected }: ErrorLog): ErrorSummary {
  return {
    error,
    fragments: fragments.slice(0, maxListedRejects),
    rejected: rejected.length,
    rejected_records: rejected.slice(0, maxListedRejects).map(({ original: _, ...record }) => record),
  };
}

async function readReport<Report>({ store }: OperatePorts, key: string): Promise<Stored<Report>> {
  const object = await store.readText(key);
  return { key, report: object ? (JSON.parse(object.text) as Report) : null };
}
