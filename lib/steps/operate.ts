import { groupSources } from "../core/batch.ts";
import { PermanentError } from "../core/errors.ts";
import type { ExecutionInput, Executions } from "../core/execution.ts";
import { badBatchId, isBatchId } from "../core/execution-input.ts";
import { previewKey, stagingPrefix } from "../core/keys.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { BatchSummary, OperateRequest, Operations } from "../core/operations.ts";
import type { BatchRecords } from "../core/ports.ts";
import { surveyStaging, toSeenObject } from "./survey.ts";

/** operate: the CLI's arm beside the database. */

export type OperatePorts = {
  readonly executions: Executions;
  readonly operations: Operations;
  readonly records: BatchRecords;
  readonly store: ObjectStore;
  readonly newId: () => string;
  readonly settings: { readonly batchIdPattern: RegExp };
};

type Asked<Operation extends OperateRequest["operation"]> = Extract<OperateRequest, { operation: Operation }>;

export async function operate(ports: OperatePorts, request: OperateRequest): Promise<unknown> {
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
      return report(ports, previewKey(checkedId(ports, request.batchId), request.runId));
    case "report":
      return newestReport(ports, checkedId(ports, request.batchId));
  }
}

function checkedId({ settings }: OperatePorts, batchId: string): string {
  if (isBatchId(batchId, settings.batchIdPattern)) return batchId;
  const { code, message } = badBatchId(batchId, settings.batchIdPattern);
  throw new PermanentError(code, message);
}

async function start(ports: OperatePorts, input: ExecutionInput): Promise<{ executionArn: string }> {
  const batchId = checkedId(ports, input.batchId);
  const { executionArn } = await ports.executions.start(
    `${batchId}-${input.action}-${ports.newId().slice(0, 8)}`,
    input,
  );
  return { executionArn };
}

/**
 * Records the approval of what is there, and starts the load. The versions that are there are written down first: an
 * approval covers them, even where a key was replaced before.
 */
async function approve(ports: OperatePorts, { batchId, tables, approvedBy }: Asked<"approve">): Promise<object> {
  const id = checkedId(ports, batchId);
  const sources = await surveyStaging(ports.store, id);
  await ports.records.recordSeen(id, await ports.operations.epochOf(id), sources.map(toSeenObject));
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

async function newestReport(ports: OperatePorts, batchId: string): Promise<{ key: string | null; report: unknown }> {
  const status = await ports.operations.status(batchId);
  return status?.report_key ? report(ports, status.report_key) : { key: null, report: null };
}

async function report({ store }: OperatePorts, key: string): Promise<{ key: string; report: unknown }> {
  const object = await store.readText(key);
  return { key, report: object ? (JSON.parse(object.text) as unknown) : null };
}
