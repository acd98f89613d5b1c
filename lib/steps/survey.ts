import type { SeenVersion, Source } from "../core/batch.ts";
import { manifestMarker, parseFragmentKey, stagingPrefix, stagingPrefixOf } from "../core/keys.ts";
import { type Manifest, parseManifest } from "../core/manifest.ts";
import type { ListedObject, ObjectStore } from "../core/objects.ts";
import type { SeenObject } from "../core/ports.ts";

/**
 * Lists what lies in staging for a batch, older versions included. Folders, foreign files and what a delete marker
 * hides are left out.
 */
export async function surveyStaging(store: ObjectStore, batchId: string): Promise<Source[]> {
  const sources: Source[] = [];
  const current = new Set<string>();
  // newest first within a key: a key whose first version is not the latest is hidden
  for await (const object of store.list(stagingPrefixOf(batchId))) {
    if (object.isLatest) current.add(object.key);
    if (!current.has(object.key) || parseFragmentKey(object.key, stagingPrefix)?.batchId !== batchId) continue;
    sources.push({ object, homeKey: object.key, origin: "staging" });
  }
  return sources;
}

/**
 * The fragments of failed attempts, where they lie in `failed/`: only what the ledger knows as archived there, and of
 * several namesakes the one that was seen last. An object in staging supersedes its namesake.
 */
export async function surveyFailed(
  store: ObjectStore,
  seen: readonly SeenVersion[],
  staged: readonly Source[],
): Promise<Source[]> {
  const inStaging = new Set(staged.filter(({ object }) => object.isLatest).map(({ homeKey }) => homeKey));
  const failed = seen
    .filter(({ state, key }) => state === "failed" && !inStaging.has(key))
    .toSorted((a, b) => a.firstSeen.getTime() - b.firstSeen.getTime());
  const objects = await currentObjects(store, new Set(failed.flatMap(({ archivedKey }) => archivedKey ?? [])));
  const newest = new Map<string, Source>();
  for (const { archivedKey, key: homeKey } of failed) {
    const object = objects.get(archivedKey ?? "");
    if (object) newest.set(homeKey, { object, homeKey, origin: "failed" });
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
export async function readManifests(store: ObjectStore, sources: readonly Source[]): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  for (const { object, homeKey } of sources.filter((source) => source.object.isLatest)) {
    const parsed = parseFragmentKey(homeKey);
    if (parsed?.kind !== "marker" || parsed.marker !== manifestMarker) continue;
    const found = await store.readText(object.key, object);
    if (found) manifests.push(parseManifest(found.text, parsed));
  }
  return manifests;
}

export function toSeenObject({ object, homeKey }: Source): SeenObject {
  const parsed = parseFragmentKey(homeKey);
  return { homeKey, table: parsed?.table ?? "", object: object as ListedObject, isLatest: object.isLatest };
}
