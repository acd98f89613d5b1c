import { groupSources, type QueueRow, type Source, type TableSources } from "../core/batch.ts";
import { listNames } from "../core/decide.ts";
import { type Fault, PermanentError } from "../core/errors.ts";
import type { ExecutionInput } from "../core/execution.ts";
import type { Answer } from "../core/machine.ts";
import type { Manifest } from "../core/manifest.ts";
import type { ObjectStore } from "../core/objects.ts";
import { hashOf, loaderVersion, type PlanBody, type PlanOptions, planTables, type TablePlan } from "../core/plan.ts";
import type { BatchRecords, Claim, ContractStore, CrashPointHook, Gauges, Log, NewPlan, Plans } from "../core/ports.ts";
import type { Run } from "../core/run.ts";
import type { TargetCatalog } from "../core/target.ts";
import type { NewItem } from "../core/work-item.ts";
import { numberWorkers, secondsUntilAsked, type Turn, type Turns, wantedWorkers } from "../core/workers.ts";
import { findSources } from "./find-sources.ts";
import { refuseLargeBatch } from "./verify-counts.ts";

/**
 * The part of ValidateBatch for a batch that may begin: its turn, the plan of a load, a comparison or a preview with
 * its work items and workers, and the answer to the machine.
 */

export type PlanningPorts = {
  readonly records: BatchRecords;
  readonly contracts: ContractStore;
  readonly catalog: TargetCatalog;
  readonly plans: Plans;
  readonly turns: Turns;
  readonly store: ObjectStore;
  readonly log: Log;
  readonly gauges: Gauges;
  readonly crashPoint: CrashPointHook;
  readonly newId: () => string;
  readonly settings: {
    readonly requireApproval: boolean;
    readonly batchSize: number;
    readonly maxRecordsPerBatch: number | null;
  };
};

/** An execution that validates its batch under a claim. */
export type Visit = { readonly input: ExecutionInput; readonly execution: string; readonly claim: Claim };

export type ValidateAnswer = Run & {
  readonly next: Answer<"ValidateBatch">;
  readonly code?: string;
  readonly message?: string;
  /** With `later`: seconds until the batch asks again. */
  readonly waitSeconds?: number;
};

type Ready = { readonly tables: readonly TableSources[]; readonly queue: readonly QueueRow[] };

/** Asks for a turn. A load that is planned again keeps its place, and one that is planned only to fail needs none. */
export async function takeTurn(ports: PlanningPorts, visit: Visit, ready: Ready): Promise<Turn> {
  const wanted = wantedWorkers(sizesOf(toItems(ready.tables)));
  if (visit.claim.state === "loading" || visit.claim.aborted) return { turn: "now", workers: null };
  const { batchId } = visit.input;
  const approvedAt = lastApproval(ready) ?? new Date(0);
  return ports.turns.enter({ batchId, fence: visit.claim.fence, owner: visit.execution, approvedAt, wanted });
}

/** The time of the batch's approval, which is that of its last table. */
function lastApproval({ tables, queue }: Ready): Date | null {
  const names = new Set(tables.map(({ table }) => table));
  const times = queue.flatMap(({ table, approvedAt }) => (names.has(table) && approvedAt ? [approvedAt] : []));
  return times.reduce<Date | null>((last, time) => (last === null || time > last ? time : last), null);
}

type ChosenTables = {
  readonly tables: readonly TableSources[];
  readonly held: readonly string[];
  readonly manifests: readonly Manifest[];
  /** Records by table, as the queue declares them. */
  readonly totals: Readonly<Record<string, number>>;
};

/** The declarations for a preview or a comparison, which take what is there. */
export const noDeclarations = { manifests: [], totals: {} } as const;

export function totalsOf(queue: readonly QueueRow[]): Record<string, number> {
  return Object.fromEntries(
    queue.flatMap(({ table, totalRecords }) => (totalRecords === null ? [] : [[table, totalRecords]])),
  );
}

export async function planLoad(
  ports: PlanningPorts,
  visit: Visit,
  chosen: ChosenTables & { readonly workers: number | null },
): Promise<ValidateAnswer> {
  const { body, fault: atFault } = await planBody(ports, visit.input, chosen);
  const fault = visit.claim.aborted ?? atFault;
  const items = toItems(chosen.tables);
  const run = await createPlan(ports, visit, { kind: "load", body, items, workers: chosen.workers });
  return fault ? answer("fail", run, fault) : answer("stage", run);
}

/** Plans the comparison of a redelivery. It takes no turn, and the workers that other loads leave free. */
export async function planComparison(
  ports: PlanningPorts,
  visit: Visit,
  chosen: ChosenTables,
): Promise<ValidateAnswer> {
  const { body, fault } = await planBody(ports, visit.input, chosen);
  const items = toItems(chosen.tables);
  const run = await createPlan(ports, visit, { kind: "compare", body, items, workers: null });
  return fault ? answer("fail", run, fault) : answer("stage", run);
}

/** A plan to be written; `workers` is null if none were assigned with a turn. */
type Planning = Pick<NewPlan, "kind" | "body" | "items"> & { readonly workers: number | null };

async function createPlan(ports: PlanningPorts, { input, execution, claim }: Visit, planning: Planning): Promise<Run> {
  // A load that is planned again, after a takeover or a change of catalog or approval, is still the same attempt.
  const attempt = claim.state === "loading" ? claim.attempt : claim.attempt + 1;
  const ids = { batchId: input.batchId, epoch: claim.epoch, attempt, fence: claim.fence, runId: execution };
  const { kind, items } = planning;
  const planned = { ...planning, workers: planning.workers ?? 0 };
  const planId = await ports.plans.create({ ...ids, ...planned, source: input.source });
  await ports.crashPoint("after-plan");
  const workers = planning.workers ?? (await ports.turns.assign(planId, wantedWorkers(sizesOf(items))));
  return { ...ids, kind, planId, workers: numberWorkers(workers) };
}

function sizesOf(items: readonly NewItem[]): number[] {
  return items.filter(({ kind }) => kind === "fragment").map(({ object }) => object.size);
}

const firstEpoch = 1;

/**
 * Plans a dry run, which needs no approval, claim or batch row. It has a plan of its own, beside that of a load if
 * there is one, and leaves nothing but its report.
 */
export async function planPreview(
  ports: PlanningPorts,
  input: ExecutionInput,
  execution: string,
): Promise<ValidateAnswer> {
  const wanted = { batchId: input.batchId, epoch: firstEpoch, retry: input.action === "retry", lookInArchive: true };
  const tables = groupSources(await findSources(ports, wanted)).filter(
    ({ table, fragments }) => fragments.length > 0 && (!input.tables || input.tables.includes(table)),
  );
  if (tables.length === 0) {
    const message = `batch ${input.batchId} has no fragment to preview; drop fragments below its staging prefix first`;
    return answer("refused", emptyRun(input.batchId), { code: "BATCH_EMPTY", message });
  }
  const { body, fault } = await planBody(ports, input, { tables, held: [], ...noDeclarations });
  if (fault) return answer("refused", emptyRun(input.batchId), fault);
  const runId = ports.newId();
  const ids = { batchId: input.batchId, epoch: firstEpoch, attempt: 0, fence: 0, runId };
  const items = toItems(tables).filter(({ kind }) => kind === "fragment");
  const planId = await ports.plans.create({ ...ids, kind: "preview", source: input.source, body, items, workers: 0 });
  const workers = await ports.turns.assign(planId, wantedWorkers(sizesOf(items)));
  const run: Run = { ...ids, kind: "preview", planId, workers: numberWorkers(workers) };
  ports.log.info("preview planned", { batchId: input.batchId, runId, execution });
  return answer("stage", run);
}

/** Plans the tables. A fault leaves a plan without tables, whose items still say what goes to `failed/`. */
async function planBody(
  ports: PlanningPorts,
  input: ExecutionInput,
  chosen: ChosenTables,
): Promise<{ readonly body: PlanBody; readonly fault: Fault | null }> {
  const contracts = await ports.contracts.current({ remember: !input.dryRun });
  if (contracts.faults.length > 0) {
    ports.gauges.emit({ ContractsInvalid: 1 });
    ports.log.warn("CONTRACT_INVALID: the last good contracts are used", { faults: contracts.faults });
  }
  const tables = chosen.tables.map(({ table }) => table);
  const catalog = await ports.catalog.read(tables);
  const toBody = (planned: readonly TablePlan[]): PlanBody => ({
    tables: planned,
    held: chosen.held,
    options: optionsOf(input),
    batchSize: input.batchSize ?? ports.settings.batchSize,
    contractHash: contracts.hash,
    catalogHash: hashOf([...catalog.values()]),
    loaderVersion,
    approved: ports.settings.requireApproval,
    parts: chosen.manifests.flatMap(({ parts }) => parts),
    totals: chosen.totals,
  });
  const { maxRecordsPerBatch } = ports.settings;
  const fault =
    faultOfManifests(chosen) ?? refuseLargeBatch(input.batchId, declaredRecords(chosen), maxRecordsPerBatch);
  if (fault) return { body: toBody([]), fault };
  try {
    return { body: toBody(planTables(tables, { contracts, catalog, input })), fault: null };
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    return { body: toBody([]), fault: error.fault };
  }
}

function optionsOf({ action, tables, strategy, batchSize }: ExecutionInput): PlanOptions {
  return { action, ...(tables && { tables }), ...(strategy && { strategy }), ...(batchSize && { batchSize }) };
}

/** The fault of a manifest that cannot be used, or that does not name every part. */
function faultOfManifests({ tables, manifests }: ChosenTables): Fault | null {
  for (const manifest of manifests) {
    const sources = tables.find(({ table }) => table === manifest.table);
    if (!sources) continue;
    if (manifest.fault) return manifest.fault;
    const named = new Set(manifest.parts.map(({ key }) => key));
    const extra = sources.fragments.filter(({ stagedKey }) => !named.has(stagedKey)).map(({ stagedKey }) => stagedKey);
    if (extra.length === 0) continue;
    const message = `table ${manifest.table}: _manifest.json does not name ${listNames(extra)}; name every part or take it away`;
    return { code: "MANIFEST_INVALID", message };
  }
  return null;
}

/** The least number of records by what queue and manifests declare; the real number is known once they are read. */
function declaredRecords({ tables, manifests, totals }: ChosenTables): number {
  return tables.reduce((sum, { table }) => {
    const parts = manifests.find((manifest) => manifest.table === table)?.parts ?? [];
    const ofParts = parts.reduce((records, part) => records + (part.records ?? 0), 0);
    return sum + Math.max(totals[table] ?? 0, ofParts);
  }, 0);
}

function toItems(tables: readonly TableSources[]): NewItem[] {
  return tables.flatMap(({ table, fragments, markers, superseded }) => [
    ...fragments.map((source) => toItem(table, "fragment", source)),
    ...markers.map((source) => toItem(table, "marker", source)),
    ...superseded.map((source) => toItem(table, "superseded", source)),
  ]);
}

function toItem(table: string, kind: NewItem["kind"], { object, stagedKey }: Source): NewItem {
  return { table, kind, stagedKey, object };
}

export function emptyRun(batchId: string): Run {
  return { batchId, kind: "load", planId: 0, fence: 0, epoch: 0, attempt: 0, runId: "", workers: [] };
}

/** Answers the machine, which with `fail` passes the message alone to FailBatch: so that carries the code, too. */
export function answer(next: ValidateAnswer["next"], run: Run, fault?: Fault): ValidateAnswer {
  if (!fault) return { ...run, next };
  const message = next === "fail" ? `${fault.code}: ${fault.message}` : fault.message;
  return { ...run, next, code: fault.code, message };
}

export function inLine(batchId: string, ahead: number): Fault {
  const message = `batch ${batchId} is ready, and waits until the database has room for it; ${ahead} batches are ahead of it`;
  return { code: "IN_LINE", message };
}

type Later = Turn & { readonly turn: "later" };

/** The turn of an execution that waits for it already and could not ask for its place. */
export const askAgain: Later = { turn: "later", ahead: 0, waitSeconds: secondsUntilAsked(0, 0) };

export function answerLater(batchId: string, turn: Later): ValidateAnswer {
  return { ...answer("later", emptyRun(batchId), inLine(batchId, turn.ahead)), waitSeconds: turn.waitSeconds };
}
