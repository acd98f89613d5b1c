import type { BatchState, Source } from "../core/batch.ts";
import type { BatchFacts } from "../core/decide.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { BatchRecords } from "../core/ports.ts";
import { readManifests } from "./find-sources.ts";

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
