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

/** The objects from which a batch could be loaded, in staging, archive and `failed/`, and the facts of its decision. */

type SourcePorts = {
  readonly store: ObjectStore;
  readonly records: Pick<BatchRecords, "tableStates" | "queue" | "seenVersions">;
};

type SourceSearch = {
  readonly batchId: string;
  readonly epoch: number;
  /** True to find the fragments in `failed/`, too. */
  readonly retry: boolean;
  /** True to list the archive even if the ledger knows of no uncommitted object in it. */
  readonly lookInArchive: boolean;
};

/** Everything that a batch could be loaded from. For one key staging counts first, then the archive, then `failed/`. */
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
 * True if every known table of the batch is loaded, those that only the queue names included. Then the archive, which
 * may be long, need not be listed; the sweep's walk through it finds objects of tables that are not queued.
 */
async function isLoaded({ records }: SourcePorts, { batchId, epoch }: SourceSearch): Promise<boolean> {
  const states = await records.tableStates(batchId, epoch);
  if (states.size === 0 || [...states.values()].some((state) => state !== "loaded")) return false;
  return (await records.queue(batchId)).every(({ table }) => states.has(table));
}

/**
 * Lists the versions in staging for a batch, older ones included. Folders, foreign files and versions that a delete
 * marker hides are left out.
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
 * Lists the objects in the archive of a batch whose tables are not committed, as after a restore of the database. Those
 * that a failed attempt has read there are left to a retry.
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
 * Finds the fragments of failed attempts in `failed/`: only those that the ledger knows there, and of several with one
 * key the one that was seen last. An object in staging supersedes them.
 */
async function findFailedSources(
  store: ObjectStore,
  seen: readonly SeenVersion[],
  superseding: readonly Source[],
): Promise<Source[]> {
  const superseded = currentKeys(superseding);
  const failed = seen
    .filter(({ state, key }) => state === "failed" && !superseded.has(key))
    .toSorted((a, b) => a.firstSeen.getTime() - b.firstSeen.getTime());
  const objects = await currentObjects(store, new Set(failed.flatMap(({ archivedKey }) => archivedKey ?? [])));
  const newest = new Map<string, Source>();
  for (const { archivedKey, key: stagedKey } of failed) {
    const object = objects.get(archivedKey ?? "");
    if (object) newest.set(stagedKey, { object, stagedKey, origin: "failed" });
  }
  return [...newest.values()];
}

async function currentObjects(store: ObjectStore, keys: ReadonlySet<string>): Promise<Map<string, ListedObject>> {
  const found = new Map<string, ListedObject>();
  for (const folder of new Set([...keys].map((key) => key.slice(0, key.lastIndexOf("/") + 1)))) {
    for await (const object of store.list(folder)) {
      if (object.isLatest && keys.has(object.key)) found.set(object.key, object);
    }
  }
  return found;
}

/** The sources whose keys are not current among the others. */
export function without(sources: readonly Source[], others: readonly Source[]): Source[] {
  const current = currentKeys(others);
  return sources.filter(({ stagedKey }) => !current.has(stagedKey));
}

function currentKeys(sources: readonly Source[]): ReadonlySet<string> {
  return new Set(sources.filter(({ object }) => object.isLatest).map(({ stagedKey }) => stagedKey));
}

export function toSeenObject({ object, stagedKey }: Source): SeenObject {
  return { stagedKey, table: parseFragmentKey(stagedKey)?.table ?? "", object, isLatest: object.isLatest };
}

/** Reads the facts that a decision rests on besides the sources. */
export async function readFacts(
  { records, store, settings }: SourcePorts & { readonly settings: { readonly requireApproval: boolean } },
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

/** Reads the manifests among the sources in the listed version; one that cannot be used carries its fault. */
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
