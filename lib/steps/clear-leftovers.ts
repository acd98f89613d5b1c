import { batchOfArchive, failedPrefix, loadedPrefix } from "../core/keys.ts";
import { isOver, record, type Sweeping } from "./sweeping.ts";

/** Plans, staging and copies in parts that nobody goes on with, and what need not be kept any longer. */
export async function clearLeftovers(sweeping: Sweeping): Promise<void> {
  const { leftovers, settings } = sweeping.ports;
  for (const healing of await leftovers.dropOrphans()) await record(sweeping, healing);
  await leftovers.forgetOld(settings);
  for (const prefix of [loadedPrefix, failedPrefix]) await abandonUploads(sweeping, prefix);
}

/** One invocation begins and ends a copy, so that one that is older than a lease belongs to nobody. */
async function abandonUploads(sweeping: Sweeping, prefix: string): Promise<void> {
  const { uploads, settings, now } = sweeping.ports;
  const latest = now() - settings.leaseSeconds * 1000;
  for (const upload of await uploads.unfinished(prefix)) {
    if (isOver(sweeping)) return;
    if (upload.initiated.getTime() > latest) continue;
    await uploads.abandon(upload);
    const detail = `the copy in parts to ${upload.key} had been begun and never ended; given up`;
    await record(sweeping, { kind: "UPLOAD_ABANDONED", batchId: batchOfArchive(upload.key), detail });
  }
}
