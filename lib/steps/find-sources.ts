import type { BatchState, SeenVersion, Source } from "../core/batch.ts";
import type { BatchFacts } from "../core/decide.ts";
import {
  loadedPrefixOf,
  manifestMarker,
  parseArchivedKey,
  parseFragmentKey,
  stagingPrefix,
  stagingPrefixOf,
} from "../core/keys.ts";
import { type Manifest, parseManifest, refuseLargeManifest } from "../core/manifest.ts";
import type { ListedObject, ObjectStore } from "../core/objects.ts";
import type { BatchRecords, SeenObject } from "../core/ports.ts";

type SourcePorts = {
  readonly store: ObjectStore;
  readonly records: Pick<BatchRecords, "tableStates" | "queue" | "seenVersions">;
};

type SourceSearch = {
  readonly batchId: string;
  readonly epoch: number;
  /** Whether what lies in `failed/` is read, too. */
  readonly retry: boolean;
  /** Whether to look into the archive, too, where the ledger knows of nothing in it. */
  readonly lookInArchive: boolean;
};

/** Everything that a batch could be loaded from. Of namesakes staging counts first, then the archive, then `failed/`. */
export async function findSources(ports: SourcePorts, search: SourceSearch): Promise<Source[]> {
  const { store, records } = ports;
  const { batchId, epoch, retry, lookInArchive } = search;
  const staged = await findStagedSources(store, batchId);
  const seen = await records.seenVersions(batchId, epoch);
  const isKnown = seen.some(({ state }) => state === "stray");
  const wanted = isKnown || (lookInArchive && !(await isLoaded(ports, search)));
  const archived = wanted ? await findArchivedSources(ports, { batchId, epoch, seen }) : [];
  const current = [...staged, ...without(archived, staged)];
  return retry ? [...current, ...(await findFailedSources(store, seen, current))] : current;
}

/**
 * Every table that is known of the batch is loaded, also those that only the queue names: nothing that an event could
 * load lies in the archive, which may be long. What nobody has queued is found by the sweep's walk through the archive.
 */
async function isLoaded({ records }: SourcePorts, { batchId, epoch }: SourceSearch): Promise<boolean> {
  const states = await records.tableStates(batchId, epoch);
  if (states.size === 0 || [...states.values()].some((state) => state !== "loaded")) return false;
  return (await records.queue(batchId)).every(({ table }) => states.has(table));
}

/** Those whose namesakes do not lie there as well. */
export function without(sources: readonly Source[], others: readonly Source[]): Source[] {
  const there = new Set(others.filter(({ object }) => object.isLatest).map(({ stagedKey }) => stagedKey));
  return sources.filter(({ stagedKey }) => !there.has(stagedKey));
}

/**
 * What lies in the archive of a batch although its tables are not committed, as after a restore of the database. What
 * was read there by an attempt that failed is left to a retry.
 */
export async function findArchivedSources(
  { store, records }: SourcePorts,
  { batchId, epoch, seen }: { batchId: string; epoch: number; seen: readonly SeenVersion[] },
): Promise<Source[]> {
  const states = await records.tableStates(batchId, epoch);
  const failed = new Set(seen.filter(({ state }) => state === "failed").map(({ archivedKey }) => archivedKey));
  const sources: Source[] = [];
  for await (const object of store.list(loadedPrefixOf(batchId, epoch))) {
    const parsed = parseArchivedKey(object.key);
    if (!object.isLatest || parsed?.epoch !== epoch || parsed.batchId !== batchId) continue;
    if (states.get(parsed.table) === "loaded" || failed.has(object.key)) continue;
    sources.push({ object, stagedKey: parsed.stagedKey, origin: "archive" });
  }
  return sources;
}

/**
 * Lists what lies in staging for a batch, older versions included. Folders, foreign files and what a delete marker
 * hides are left out.
 */
export async function findStagedSources(store: ObjectStore, batchId: string): Promise<Source[]> {
  const sources: Source[] = [];
  const current = new Set<string>();
  // newest first within a key: a key whose first version is not the latest is hidden
  for await (const object of store.list(stagingPrefixOf(batchId))) {
    if (object.isLatest) current.add(object.key);
    if (!current.has(object.key) || parseFragmentKey(object.key, stagingPrefix)?.batchId !== batchId) continue;
    sources.push({ object, stagedKey: object.key, origin: "staging" });
  }
  return sources;
}

/**
 * The fragments of failed attempts, where they lie in `failed/`: only what the ledger knows as archived there, and of
 * several namesakes the one that was seen last. An object in staging supersedes its namesake.
 */
async function findFailedSources(
  store: ObjectStore,
  seen: readonly SeenVersion[],
  staged: readonly Source[],
): Promise<Source[]> {
  const inStaging = new Set(staged.filter(({ object }) => object.isLatest).map(({ stagedKey }) => stagedKey));
  const failed = seen
    .filter(({ state, key }) => state === "failed" && !inStaging.has(key))
    .toSorted((a, b) => a.firstSeen.getTime() - b.firstSeen.getTime());
  const objects = await currentObjects(store, new Set(failed.flatMap(({ archivedKey }) => archivedKey ?? [])));
  const newest = new Map<string, Source>();
  for (const { archivedKey, key: stagedKey } of failed) {
    const object = objects.get(archivedKey ?? "");
    if (object) newest.set(stagedKey, { object, stagedKey, origin: "failed" });
  }
  return [...newest.values()];
}

const folderOf = (key: string): string => key.slice(0, key.lastIndexOf("/") + 1);

async function currentObjects(store: ObjectStore, keys: ReadonlySet<string>): Promise<Map<string, ListedObject>> {
  const found = new Map<string, ListedObject>();
  for (const folder of new Set([...keys].map(folderOf))) {
    for await (const object of store.list(folder)) {
      if (object.isLatest && keys.has(object.key)) found.set(object.key, object);
    }
  }
  return found;
}

/** The manifests among the sources, in the version listed; one that cannot be used comes with its fault. */
async function readManifests(store: ObjectStore, sources: readonly Source[]): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  for (const { object, stagedKey } of sources.filter((source) => source.object.isLatest)) {
    const parsed = parseFragmentKey(stagedKey);
    if (parsed?.kind !== "marker" || parsed.marker !== manifestMarker) continue;
    const large = refuseLargeManifest(object.size, parsed);
    const found = large ? null : await store.readText(object.key, object);
    if (large) manifests.push(large);
    if (found) manifests.push(parseManifest(found.text, parsed));
  }
  return manifests;
}

export function toSeenObject({ object, stagedKey }: Source): SeenObject {
  const parsed = parseFragmentKey(stagedKey);
  return { stagedKey, table: parsed?.table ?? "", object: object as ListedObject, isLatest: object.isLatest };
}

type FactPorts = {
  readonly records: Pick<BatchRecords, "tableStates" | "queue" | "seenVersions">;
  readonly store: ObjectStore;
  readonly settings: { readonly requireApproval: boolean };
};

/** Reads what the decision rests on, besides the sources that were found. */
export async function readFacts(
  { records, store, settings }: FactPorts,
  { batchId, epoch, state }: { batchId: string; epoch: number; state: BatchState },
  sources: readonly Source[],
): Promise<BatchFacts> {
  return {
    batchId,
    state,
    sources,
    tableStates: await records.tableStates(batchId, epoch),
    queue: await records.queue(batchId),
    seen: await records.seenVersions(batchId, epoch),
    manifests: await readManifests(store, sources),
    requireApproval: settings.requireApproval,
  };
}
