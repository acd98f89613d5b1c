import { isBatchId } from "../core/execution-input.ts";
import { type ArchivedKey, loadedPrefix, parseArchivedKey } from "../core/keys.ts";
import { findArchivedSources, toSeenObject } from "./find-sources.ts";
import { guarded, isOver, record, type SweepContext } from "./sweep-context.ts";

/**
 * Looks through the archive for objects of which the ledger knows no commit, a few pages in every sweep: what it costs
 * does not grow with the archive. After the last page it begins anew.
 */
const pagesAtOnce = 5;

export async function walkArchive(context: SweepContext): Promise<void> {
  const { sweeps, store } = context.ports;
  let after = await sweeps.cursor("archive");
  for (let pages = 0; pages < pagesAtOnce && !isOver(context); pages += 1) {
    const keys = await store.keys(loadedPrefix, after);
    after = keys.at(-1) ?? "";
    await recordUncommitted(context, keys);
    await sweeps.moveCursor("archive", after);
    if (keys.length === 0) return;
  }
}

async function recordUncommitted(context: SweepContext, keys: readonly string[]): Promise<void> {
  const { uncommitted, settings } = context.ports;
  const archived = keys
    .flatMap((key) => parseArchivedKey(key) ?? [])
    .filter(({ batchId }) => isBatchId(batchId, settings.batchIdPattern));
  if (archived.length === 0) return;
  const found = await uncommitted.uncommitted(archived);
  const batches = Map.groupBy(found, ({ batchId, epoch }) => `${batchId} ${epoch}`);
  for (const [first] of batches.values()) {
    if (first) await guarded(context, () => recordBatch(context, first));
  }
}

/** The whole folder is recorded: a page may end in the middle of it. */
async function recordBatch(context: SweepContext, { batchId, epoch }: ArchivedKey): Promise<void> {
  const { records, uncommitted } = context.ports;
  const seen = await records.seenVersions(batchId, epoch);
  const sources = await findArchivedSources(context.ports, { batchId, epoch, seen: [...seen] });
  if (sources.length === 0) return;
  await uncommitted.record({ batchId, epoch, objects: sources.map(toSeenObject) });
  const detail = `${sources.length} objects in the archive of epoch ${epoch} without a commit; they load when they are approved`;
  await record(context, { kind: "STRAY_ARCHIVE", batchId, detail });
}
