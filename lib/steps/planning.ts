import type { QueueRow, Source, TableSources } from "../core/batch.ts";
import { listNames } from "../core/decide.ts";
import { type Fault, PermanentError, parseFault } from "../core/errors.ts";
import type { ExecutionInput } from "../core/execution.ts";
import type { Answer } from "../core/machine.ts";
import type { Manifest } from "../core/manifest.ts";
import { hashOf, loaderVersion, type PlanBody, type PlanOptions, planTables, type TablePlan } from "../core/plan.ts";
import type { CatalogReader, ContractStore, Gauges, Log, NewItem } from "../core/ports.ts";
import type { Run } from "../core/run.ts";
import { refuseLargeBatch } from "./verify-counts.ts";

/** What planning a load and planning a preview have in common. */

export type PlanningPorts = {
  readonly contracts: ContractStore;
  readonly catalog: CatalogReader;
  readonly log: Log;
  readonly gauges: Gauges;
  readonly settings: {
    readonly batchSize: number;
    readonly requireApproval: boolean;
    readonly maxRecordsPerBatch: number | null;
  };
};

export type ChosenTables = {
  readonly tables: readonly TableSources[];
  readonly held: readonly string[];
  readonly manifests: readonly Manifest[];
  /** Records by table, as the queue declares them. */
  readonly totals: Readonly<Record<string, number>>;
};

/** For a preview or a comparison, which take what is there. */
export const noDeclarations = { manifests: [], totals: {} } as const;

export function totalsOf(queue: readonly QueueRow[]): Record<string, number> {
  return Object.fromEntries(
    queue.flatMap(({ table, totalRecords }) => (totalRecords === null ? [] : [[table, totalRecords]])),
  );
}

export type ValidateAnswer = Run & {
  readonly next: Answer<"ValidateBatch">;
  readonly code?: string;
  readonly message?: string;
  /** With `later`: seconds until it is asked again. */
  readonly waitSeconds?: number;
};

/** A plan that cannot be made still gets its items: they say what goes to `failed/`. */
export async function planBody(
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
  const size = { batchId: input.batchId, records: declaredRecords(chosen), limit: ports.settings.maxRecordsPerBatch };
  const fault = faultOfManifests(chosen) ?? refuseLargeBatch(size);
  if (fault) return { body: toBody([]), fault };
  try {
    return { body: toBody(planTables(tables, { contracts, catalog, input })), fault: null };
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    return { body: toBody([]), fault: parseFault(error.message, error.code) };
  }
}

function optionsOf({ action, tables, strategy, batchSize }: ExecutionInput): PlanOptions {
  return { action, ...(tables && { tables }), ...(strategy && { strategy }), ...(batchSize && { batchSize }) };
}

/** A manifest that cannot be used, or parts that it does not name. */
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

/** As many records as queue and manifests say there are at least; what else comes is counted when it is read. */
function declaredRecords({ tables, manifests, totals }: ChosenTables): number {
  return tables.reduce((sum, { table }) => {
    const parts = manifests.find((manifest) => manifest.table === table)?.parts ?? [];
    const ofParts = parts.reduce((records, part) => records + (part.records ?? 0), 0);
    return sum + Math.max(totals[table] ?? 0, ofParts);
  }, 0);
}

export function toItems(tables: readonly TableSources[]): NewItem[] {
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

/** `fail` goes to FailBatch by way of the machine, which hands on the message alone: so that carries the code, too. */
export function answer(next: ValidateAnswer["next"], run: Run, fault?: Fault): ValidateAnswer {
  if (!fault) return { ...run, next };
  const message = next === "fail" ? `${fault.code}: ${fault.message}` : fault.message;
  return { ...run, next, code: fault.code, message };
}
