import { batchOfArchive, failedPrefix, loadedPrefix } from "../core/keys.ts";
import { isOver, record, type SweepContext } from "./sweep-context.ts";

/** Plans, staging and copies in parts that nobody goes on with, and what need not be kept any longer. */
export async function clearLeftovers(context: SweepContext): Promise<void> {
  const { leftovers, settings } = context.ports;
  for (const healing of await leftovers.dropOrphans()) await record(context, healing);
  await leftovers.forgetOld(settings);
  for (const prefix of [loadedPrefix, failedPrefix]) await abandonUploads(context, prefix);
}

/** One invocation begins and ends a copy, so that one that is older than a lease belongs to nobody. */
async function abandonUploads(context: SweepContext, prefix: string): Promise<void> {
  const { uploads, settings, now } = context.ports;
  const latest = now() - settings.leaseSeconds * 1000;
  for (const upload of await uploads.unfinished(prefix)) {
    if (isOver(context)) return;
    if (upload.initiated.getTime() > latest) continue;
    await uploads.abandon(upload);
    const detail = `the copy in parts to ${upload.key} had been begun and never ended; given up`;
    await record(context, { kind: "UPLOAD_ABANDONED", batchId: batchOfArchive(upload.key), detail });
  }
}
