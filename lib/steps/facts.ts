import type { BatchState, Source } from "../core/batch.ts";
import type { BatchFacts } from "../core/decide.ts";
import { manifestMarker, parseFragmentKey } from "../core/keys.ts";
import { type Manifest, refuseLargeManifest } from "../core/manifest.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { BatchRecords } from "../core/ports.ts";
import { readManifests } from "./survey.ts";

export type FactPorts = {
  readonly records: Pick<BatchRecords, "tableStates" | "queue" | "seenVersions">;
  readonly store: ObjectStore;
  readonly settings: { readonly requireApproval: boolean };
};

export type BatchAt = { readonly batchId: string; readonly epoch: number; readonly state: BatchState };

/** Reads what the decision rests on, besides the sources that were found. */
export async function readFacts(
  { records, store, settings }: FactPorts,
  { batchId, epoch, state }: BatchAt,
  sources: readonly Source[],
): Promise<BatchFacts> {
  const large = largeManifests(sources);
  const readable = sources.filter((source) => !large.has(source));
  return {
    batchId,
    state,
    sources,
    tableStates: await records.tableStates(batchId, epoch),
    queue: await records.queue(batchId),
    seen: await records.seenVersions(batchId, epoch),
    manifests: [...large.values(), ...(await readManifests(store, readable))],
    requireApproval: settings.requireApproval,
  };
}

/** Manifests of which the listing says that they are too large. They are their tables' fault, and are not asked for. */
function largeManifests(sources: readonly Source[]): Map<Source, Manifest> {
  const large = new Map<Source, Manifest>();
  for (const source of sources) {
    const parsed = parseFragmentKey(source.homeKey);
    if (!source.object.isLatest || parsed?.kind !== "marker" || parsed.marker !== manifestMarker) continue;
    const refused = refuseLargeManifest(source.object.size, parsed);
    if (refused) large.set(source, refused);
  }
  return large;
}
