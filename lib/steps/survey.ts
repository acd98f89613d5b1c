import type { SeenVersion, Source } from "../core/batch.ts";
import { manifestMarker, parseFragmentKey, stagingPrefix, stagingPrefixOf } from "../core/keys.ts";
import { type Manifest, parseManifest } from "../core/manifest.ts";
import type { ListedObject, ObjectStore } from "../core/objects.ts";
import type { SeenObject } from "../core/ports.ts";

/** Lists what lies in staging for a batch, older versions included. Folders and foreign files are left out. */
export async function surveyStaging(store: ObjectStore, batchId: string): Promise<Source[]> {
  const sources: Source[] = [];
  for await (const object of store.list(stagingPrefixOf(batchId))) {
    const parsed = parseFragmentKey(object.key, stagingPrefix);
    if (parsed?.batchId === batchId) sources.push({ object, homeKey: object.key, origin: "staging" });
  }
  return sources;
}

/**
 * The fragments of failed attempts, where they lie in `failed/`: only what the ledger knows as archived there.
 * An object in staging supersedes its namesake.
 */
export async function surveyFailed(
  store: ObjectStore,
  seen: readonly SeenVersion[],
  staged: readonly Source[],
): Promise<Source[]> {
  const inStaging = new Set(staged.filter(({ object }) => object.isLatest).map(({ homeKey }) => homeKey));
  const archived = new Map(
    seen.flatMap(({ state, archivedKey, key }) =>
      state === "failed" && archivedKey && !inStaging.has(key) ? [[archivedKey, key] as const] : [],
    ),
  );
  const sources: Source[] = [];
  for (const folder of new Set([...archived.keys()].map(folderOf))) {
    for await (const object of store.list(folder)) {
      const homeKey = object.isLatest ? archived.get(object.key) : undefined;
      if (homeKey && folderOf(object.key) === folder) sources.push({ object, homeKey, origin: "failed" });
    }
  }
  return newestPerHome(sources);
}

const folderOf = (key: string): string => key.slice(0, key.lastIndexOf("/") + 1);

function newestPerHome(sources: readonly Source[]): Source[] {
  const newest = new Map<string, Source>();
  for (const source of sources) {
    const known = newest.get(source.homeKey);
    if (!known || known.object.lastModified <= source.object.lastModified) newest.set(source.homeKey, source);
  }
  return [...newest.values()];
}

/** The manifests among the sources. One that cannot be used comes with its fault. */
export async function readManifests(store: ObjectStore, sources: readonly Source[]): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  for (const { object, homeKey } of sources.filter((source) => source.object.isLatest)) {
    const parsed = parseFragmentKey(homeKey);
    if (parsed?.kind !== "marker" || parsed.marker !== manifestMarker) continue;
    const found = await store.readText(object.key);
    if (found) manifests.push(parseManifest(found.text, parsed));
  }
  return manifests;
}

export function toSeenObject({ object, homeKey }: Source): SeenObject {
  const parsed = parseFragmentKey(homeKey);
  return { homeKey, table: parsed?.table ?? "", object: object as ListedObject, isLatest: object.isLatest };
}
