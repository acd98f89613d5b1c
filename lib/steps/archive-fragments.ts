import type { BatchState } from "../core/batch.ts";
import { archiveReserveSeconds } from "../core/durations.ts";
import { BlockedError, PermanentError } from "../core/errors.ts";
import {
  duplicatePrefixOf,
  errorLogKey,
  failedPrefixOf,
  keyBelowBatch,
  loadedPrefixOf,
  parseArchivedKey,
  stagingPrefixOf,
  versionLabel,
} from "../core/keys.ts";
import { kinds } from "../core/kinds.ts";
import type { Answer } from "../core/machine.ts";
import type { ObjectArchive, ObjectStore } from "../core/objects.ts";
import type { Attempts, Claims, CrashPointHook, Log, WorkItems } from "../core/ports.ts";
import type { Run, TaskRequest } from "../core/run.ts";
import type { ArchivedItem, WorkItem } from "../core/work-item.ts";
import { toErrorLog, writeReport } from "./reports.ts";

/** ArchiveFragments: moves every version that was read to `loaded/` or `failed/`, and verifies it before its deletion. */

type ArchivePorts = {
  readonly items: WorkItems;
  readonly attempts: Attempts;
  readonly claims: Claims;
  readonly store: ObjectStore;
  readonly archive: ObjectArchive;
  readonly log: Log;
  readonly crashPoint: CrashPointHook;
  readonly now: () => number;
};

/** Objects moved at a time. Number and bytes are limited because an invocation still ends the moves that it began. */
export const movesAtOnce = 16;
const bytesAtOnce = 1024 ** 3;

/** @param deadline milliseconds since the epoch, when this invocation ends */
export async function archiveFragments(
  ports: ArchivePorts,
  { run }: TaskRequest,
  deadline: number,
): Promise<{ next: Answer<"ArchiveFragments"> }> {
  await ports.claims.renew(run);
  const { state, fault } = await ports.attempts.attemptStatus(run);
  refuseUncommitted(run, state);
  const items = await ports.items.list(run.planId);
  const folder =
    state === "failing" ? failedPrefixOf(run.batchId, run.attempt) : loadedPrefixOf(run.batchId, run.epoch);
  if (state === "failing" && fault) {
    const log = toErrorLog(run, fault, items, await ports.attempts.rejects(run));
    await writeReport(ports.store, errorLogKey(folder), log, () => ports.claims.renew(run));
  }
  const open = archiveOrder(items.filter((item) => item.archivedKey === null));
  const mayBeGone = state === "failing" || !kinds[run.kind].commits;
  for (const group of groupMoves(open)) {
    if (ports.now() >= deadline - archiveReserveSeconds * 1000) return { next: "more" };
    await archiveGroup(ports, run, group, { folder, mayBeGone });
  }
  await ports.crashPoint("after-archive");
  return { next: await ports.attempts.archived(run) };
}

/** Keeps objects in staging until their rows are committed, even if the machine got here too early. */
function refuseUncommitted({ batchId, kind }: Run, state: BatchState): void {
  if (!kinds[kind].commits || ["committed", "archived", "failing"].includes(state)) return;
  throw new BlockedError("LOADER_BUG", `batch ${batchId} is ${state}: expected a committed or a failed one to archive`);
}

const kindOrder = { superseded: 0, fragment: 1, marker: 2 } as const;

/**
 * Puts older versions first, the oldest of them at the head: deleting the newest would make an older one current again,
 * without an event. Times in S3 may be whole seconds; then the listing decides, in which items are newest first.
 * Markers come last: as long as one is there, its table's parts count as complete.
 */
function archiveOrder(items: readonly WorkItem[]): WorkItem[] {
  return items.toSorted(
    (a, b) =>
      kindOrder[a.kind] - kindOrder[b.kind] ||
      a.object.lastModified.getTime() - b.object.lastModified.getTime() ||
      b.itemId - a.itemId,
  );
}

/** Groups that are moved at the same time, in this order: objects of one kind, and no two versions of one key. */
export function groupMoves(items: readonly WorkItem[]): WorkItem[][] {
  const groups: WorkItem[][] = [];
  for (const item of items) {
    const last = groups.at(-1);
    if (last && fits(last, item)) last.push(item);
    else groups.push([item]);
  }
  return groups;
}

function fits(group: readonly WorkItem[], { kind, object }: WorkItem): boolean {
  const bytes = group.reduce((sum, other) => sum + other.object.size, object.size);
  const isAlike = group.every((other) => other.kind === kind && other.object.key !== object.key);
  return group.length < movesAtOnce && bytes <= bytesAtOnce && isAlike;
}

type Destination = {
  readonly folder: string;
  /** True if nothing was loaded from the objects: even if one is gone, the batch ends. */
  readonly mayBeGone: boolean;
};

/** Waits for all moves even if one fails, since a Lambda that ends leaves nothing running. */
async function archiveGroup(ports: ArchivePorts, run: Run, group: readonly WorkItem[], to: Destination): Promise<void> {
  const moves = await Promise.allSettled(group.map((item) => archiveItem(ports, run, item, to)));
  const archived = moves.flatMap((move) => (move.status === "fulfilled" ? [move.value] : []));
  await ports.items.markArchived(run, archived);
  for (const move of moves) if (move.status === "rejected") throw move.reason;
}

async function archiveItem(ports: ArchivePorts, run: Run, item: WorkItem, to: Destination): Promise<ArchivedItem> {
  if (item.kind === "superseded") {
    await ports.archive.remove(item.object);
    return { item, archivedKey: item.object.key };
  }
  // An object that was read in the archive stays there, even if the batch fails: nothing is ever taken out of it.
  if (parseArchivedKey(item.object.key)) return { item, archivedKey: item.object.key };
  const isDuplicate = kinds[run.kind].archivesTo === "duplicates";
  const home = isDuplicate ? duplicatePrefixOf(run.batchId, versionLabel(item.object)) : to.folder;
  const toKey = `${home}${keyBelowBatch(item.stagedKey, stagingPrefixOf(run.batchId))}`;
  await ports.crashPoint("before-archive-copy");
  const archivedKey = await ports.archive
    .move(item.object, toKey)
    .then(() => toKey)
    .catch((error: unknown) => {
      if (!to.mayBeGone || !(error instanceof PermanentError) || error.code !== "S3_MISSING") throw error;
      ports.log.warn("nothing left to archive", { code: error.code, key: item.object.key, table: item.table });
      return item.object.key;
    });
  await ports.crashPoint("after-archive-copy");
  return { item, archivedKey };
}
