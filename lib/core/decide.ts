import {
  type BatchState,
  groupSources,
  type QueueRow,
  type SeenVersion,
  type Source,
  type TableSources,
  type TableState,
} from "./batch.ts";
import type { Fault } from "./errors.ts";
import type { ExecutionInput } from "./execution.ts";
import { versionLabel } from "./keys.ts";
import type { Manifest } from "./manifest.ts";

/** The one decision about a batch, from facts alone: no I/O and no clock. */

/** Everything that the decision rests on. */
export type BatchFacts = {
  readonly batchId: string;
  readonly state: BatchState;
  readonly tableStates: ReadonlyMap<string, TableState>;
  readonly sources: readonly Source[];
  readonly queue: readonly QueueRow[];
  readonly seen: readonly SeenVersion[];
  readonly requireApproval: boolean;
  readonly manifests: readonly Manifest[];
};

export type Decision =
  | { readonly do: "load"; readonly tables: readonly TableSources[]; readonly held: readonly string[] }
  | { readonly do: "compare"; readonly tables: readonly TableSources[] }
  | ({ readonly do: "wait" | "already_processed" | "failed_before" } & Fault);

/** Decides what an execution does with a batch that no other one is loading. */
export function decideBatch(known: BatchFacts, input: ExecutionInput): Decision {
  const facts = { ...known, sources: demoteSuperseded(known) };
  const all = groupSources(facts.sources, facts.manifests);
  const wanted = input.tables ? all.filter(({ table }) => input.tables?.includes(table)) : all;
  const loaded = wanted.filter(({ table }) => facts.tableStates.get(table) === "loaded");
  const open = wanted.filter(({ table }) => isOpen(facts.tableStates.get(table), input));
  const failed = failedTables(facts, input);
  if (failed.length > 0 && input.action !== "retry") return failedBefore(facts, failed);
  const missing = missingTables(facts, input, all);
  if (open.length === 0 && missing.length === 0) return decideRedrop(facts, loaded);
  const reasons = waitReasons(facts, open, missing);
  if (reasons.length > 0) {
    const message = `batch ${facts.batchId} is not ready: ${listNames(reasons.map((reason) => reason.message))}`;
    return { do: "wait", code: reasons[0]?.code ?? "", message };
  }
  const chosen = new Set(open.map(({ table }) => table));
  const held = input.tables ? heldTables(facts, all, chosen) : [];
  return { do: "load", tables: open, held };
}

/**
 * Keeps a version superseded that the ledger knows as such. If it is current again because the newer one was deleted,
 * it was neither delivered nor approved anew.
 */
function demoteSuperseded({ sources, seen }: BatchFacts): Source[] {
  const superseded = new Set(
    seen.filter(({ state }) => state === "superseded").map(({ key, version }) => versionId(key, version)),
  );
  return sources.map((source) =>
    source.origin === "staging" && superseded.has(versionId(source.stagedKey, versionLabel(source.object)))
      ? { ...source, object: { ...source.object, isLatest: false } }
      : source,
  );
}

/** True if the table may be loaded. One left out by hand needs a manual start; a failed one is here by a retry. */
function isOpen(state: TableState | undefined, input: ExecutionInput): boolean {
  if (state === "loaded") return false;
  return state !== "held" || input.source === "manual";
}

/** Tables that failed. One with fragments in the archive was mended and loaded later on, which the ledger has lost. */
function failedTables(facts: BatchFacts, input: ExecutionInput): string[] {
  const archived = facts.sources.filter(({ origin }) => origin === "archive");
  const mended = new Set(groupSources(archived).map(({ table }) => table));
  const failed = [...facts.tableStates].flatMap(([table, state]) =>
    state === "failed" && !mended.has(table) ? [table] : [],
  );
  return input.tables ? failed.filter((table) => input.tables?.includes(table)) : failed;
}

function failedBefore(facts: BatchFacts, failed: readonly string[]): Decision {
  return {
    do: "failed_before",
    code: "BATCH_FAILED",
    message: `batch ${facts.batchId} failed before (${listNames(failed)}); mend its fragments and start it with action retry`,
  };
}

/** Tables that input or queue name, that may be loaded, and that have no source. */
function missingTables(facts: BatchFacts, input: ExecutionInput, all: readonly TableSources[]): string[] {
  const present = new Set(all.map(({ table }) => table));
  const named = input.tables ?? [...new Set(facts.queue.map(({ table }) => table))];
  return named.filter((table) => isOpen(facts.tableStates.get(table), input) && !present.has(table));
}

function heldTables(facts: BatchFacts, all: readonly TableSources[], chosen: ReadonlySet<string>): string[] {
  const named = new Set([...all.map(({ table }) => table), ...facts.queue.map(({ table }) => table)]);
  return [...named].filter((table) => {
    const state = facts.tableStates.get(table);
    return !chosen.has(table) && state !== "loaded" && state !== "failed";
  });
}

/** Decides about objects that came again for loaded tables: those that were not compared before are compared. */
function decideRedrop(facts: BatchFacts, loaded: readonly TableSources[]): Decision {
  const seen = new Map(facts.seen.map((version) => [versionId(version.key, version.version), version]));
  const isFresh = ({ object, stagedKey, origin }: Source): boolean =>
    origin === "staging" && !isJudged(object, seen.get(versionId(stagedKey, versionLabel(object))));
  const fresh = loaded
    .map((sources) => withFragments(sources, sources.fragments.filter(isFresh)))
    .filter(({ fragments, markers }) => fragments.length + markers.length > 0);
  if (fresh.some(({ fragments }) => fragments.length > 0)) return { do: "compare", tables: fresh };
  if (facts.state === "loaded" || [...facts.tableStates.values()].includes("loaded")) {
    const changed = loaded.flatMap(({ fragments }) => fragments.map(({ stagedKey }) => stagedKey));
    return alreadyLoaded(facts.batchId, changed);
  }
  return {
    do: "wait",
    code: "BATCH_EMPTY",
    message: `batch ${facts.batchId} has no fragment to load below its staging prefix`,
  };
}

/**
 * True if the object was compared before. In a bucket without versioning an object that came again may bear the version
 * that was loaded, so that its time of modification decides.
 */
function isJudged({ lastModified }: Source["object"], seen: SeenVersion | undefined): boolean {
  if (!seen) return false;
  return seen.state === "changed" || (seen.redelivered !== null && seen.redelivered >= lastModified);
}

function alreadyLoaded(batchId: string, changed: readonly string[]): Decision {
  const report = `batch ${batchId} is loaded; its report lies beside its archive, see table-loader status ${batchId}`;
  const left = `; ${listNames(changed)} came again with other content and is NOT loaded: deliver the correction as a new batch`;
  const message = changed.length > 0 ? `${report}${left}` : report;
  return { do: "already_processed", code: "BATCH_ALREADY_LOADED", message };
}

/** The sources with these fragments alone, and with the older versions of these and of the markers. */
function withFragments(sources: TableSources, fragments: readonly Source[]): TableSources {
  const keys = new Set([...fragments, ...sources.markers].map(({ object }) => object.key));
  return { ...sources, fragments, superseded: sources.superseded.filter(({ object }) => keys.has(object.key)) };
}

function waitReasons(facts: BatchFacts, open: readonly TableSources[], missing: readonly string[]): Fault[] {
  return [
    ...open.flatMap((sources) => tableReasons(facts, sources)),
    ...missing.map((table) => ({ code: "TABLE_MISSING", message: `table ${table}: no fragment has arrived yet` })),
  ];
}

function tableReasons(facts: BatchFacts, sources: TableSources): Fault[] {
  const { table } = sources;
  const say = (code: string, message: string): Fault[] => [{ code, message: `table ${table}: ${message}` }];
  if (!sources.complete) {
    const expected = "expected every part of <table>/_manifest.json, or <table>/_SUCCESS";
    return say("TABLE_INCOMPLETE", `its parts are not all there; ${expected}`);
  }
  // An adopted queue may hold several rows of a table; each of them counts, as in the commit.
  const rows = facts.queue.filter((queued) => queued.table === table);
  if (rows.length === 0 && facts.requireApproval)
    return say("NOT_QUEUED", "not in validation_queue; approve the batch");
  const has = (status: string): boolean => rows.some((row) => row.status === status);
  if (has("pending")) return say("NOT_VALIDATED", "validation is still pending");
  if (has("failed")) return say("VALIDATION_FAILED", "the validation failed; deliver and validate it again");
  if (!facts.requireApproval) return [];
  if (!rows.every(({ approved }) => approved)) return say("NOT_APPROVED", "not approved_for_load; approve the batch");
  const history = historyOf(facts);
  const replaced = sources.fragments.filter((source) => !rows.some((row) => isCovered(history, row, source)));
  if (replaced.length === 0) return [];
  const keys = listNames(replaced.map(({ stagedKey }) => stagedKey));
  return say("APPROVAL_OUTDATED", `${keys} was replaced after the approval; approve the batch again`);
}

/** The known versions by key, indexed once since there may be tens of thousands. */
type History = {
  readonly seen: ReadonlyMap<string, readonly SeenVersion[]>;
  /** Keys with older versions in the bucket. */
  readonly replaced: ReadonlySet<string>;
};

function historyOf({ seen, sources }: BatchFacts): History {
  const older = sources.filter(({ object }) => !object.isLatest);
  return { seen: Map.groupBy(seen, ({ key }) => key), replaced: new Set(older.map(({ stagedKey }) => stagedKey)) };
}

/**
 * True if the approval covers the source: it covers the versions that were there, and the first version of each
 * fragment that arrives after it. S3 gives times in whole seconds, so a version of the same second counts as newer,
 * unless the ledger saw it before the approval. An object that is read in `failed/` or in the archive stays approved.
 */
function isCovered(history: History, row: QueueRow, { object, stagedKey, origin }: Source): boolean {
  if (origin !== "staging") return true;
  const version = versionLabel(object);
  const ofKey = history.seen.get(stagedKey) ?? [];
  if (ofKey.every((seen) => seen.version === version) && !history.replaced.has(stagedKey)) return true;
  if (row.approvedAt === null) return false;
  const approvedSecond = Math.floor(row.approvedAt.getTime() / 1000);
  if (Math.floor(object.lastModified.getTime() / 1000) < approvedSecond) return true;
  const seen = ofKey.find((known) => known.version === version);
  return seen !== undefined && seen.firstSeen.getTime() <= row.approvedAt.getTime();
}

const versionId = (key: string, version: string): string => `${key}\u0000${version}`;
const maxListed = 10;

/** Names for a message, at most ten of them. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, maxListed).join(", ");
  return names.length > maxListed ? `${shown} and ${names.length - maxListed} more` : shown;
}
