import { isBatchId } from "../core/execution-input.ts";
import { type ArchivedKey, loadedPrefix, parseArchivedKey } from "../core/keys.ts";
import { surveyArchive, toSeenObject } from "./survey.ts";
import { guarded, isOver, record, type Sweeping } from "./sweeping.ts";

/**
 * Looks through the archive for objects of which the ledger knows no commit, a few pages in every sweep: what it costs
 * does not grow with the archive. After the last page it begins anew.
 */
const pagesAtOnce = 5;

export async function walkArchive(sweeping: Sweeping): Promise<void> {
  const { sweeps, store } = sweeping.ports;
  let after = await sweeps.cursor("archive");
  for (let pages = 0; pages < pagesAtOnce && !isOver(sweeping); pages += 1) {
    const keys = await store.keys(loadedPrefix, after);
    after = keys.at(-1) ?? "";
    await recordStrays(sweeping, keys);
    await sweeps.moveCursor("archive", after);
    if (keys.length === 0) return;
  }
}

async function recordStrays(sweeping: Sweeping, keys: readonly string[]): Promise<void> {
  const { strays, settings } = sweeping.ports;
  const archived = keys
    .flatMap((key) => parseArchivedKey(key) ?? [])
    .filter(({ batchId }) => isBatchId(batchId, settings.batchIdPattern));
  if (archived.length === 0) return;
  const found = await strays.uncommitted(archived);
  const batches = Map.groupBy(found, ({ batchId, epoch }) => `${batchId} ${epoch}`);
  for (const [first] of batches.values()) {
    if (first) await guarded(sweeping, () => recordBatch(sweeping, first));
  }
}

/** The whole folder is recorded: a page may end in the middle of it. */
async function recordBatch(sweeping: Sweeping, { batchId, epoch }: ArchivedKey): Promise<void> {
  const { records, strays } = sweeping.ports;
  const seen = await records.seenVersions(batchId, epoch);
  const sources = await surveyArchive(sweeping.ports, { batchId, epoch, seen: [...seen] });
  if (sources.length === 0) return;
  await strays.record({ batchId, epoch, objects: sources.map(toSeenObject) });
  const detail = `${sources.length} objects in the archive of epoch ${epoch} without a commit; they load when they are approved`;
  await record(sweeping, { kind: "STRAY_ARCHIVE", batchId, detail });
}
