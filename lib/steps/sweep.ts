import type { SeenVersion, Source } from "../core/batch.ts";
import { decideBatch } from "../core/decide.ts";
import { sweepTimeoutSeconds, waitingNoticeHours } from "../core/durations.ts";
import { BlockedError, type Fault } from "../core/errors.ts";
import { type Ending, endingOf, executionInput, isBatchId } from "../core/execution.ts";
import {
  type ArchivedKey,
  batchOfArchive,
  failedPrefix,
  loadedPrefix,
  parseArchivedKey,
  stagingPrefix,
  versionLabel,
} from "../core/keys.ts";
import type { BatchInLedger, CursorName, HeldBatch, SweepGauges, UncommittedObjects } from "../core/sweep-ports.ts";
import { findArchivedSources, findSources, readFacts, toSeenObject } from "./find-sources.ts";
import { guarded, isOver, record, type SweepContext, type SweepPorts, start } from "./sweep-context.ts";

/**
 * sweep: restarts loads and starts batches that no event will move any more. Broken loads come first; staging and
 * archive are walked within a bound in each sweep, so that neither keeps the others waiting.
 */

type SweepAnswer = Pick<SweepContext, "started" | "healed"> & {
  readonly ran: boolean;
  readonly stalled: number;
  readonly blocked: number;
};

/** Time kept back for the work that was begun. */
const reserveSeconds = 60;

/** @param deadline milliseconds since the epoch, when this invocation ends */
export async function sweep(ports: SweepPorts, _event: unknown, deadline: number): Promise<SweepAnswer> {
  const owner = ports.newId();
  const end = Math.min(deadline, ports.now() + sweepTimeoutSeconds * 1000) - reserveSeconds * 1000;
  if (!(await ports.sweeps.begin(owner))) return { ran: false, started: [], healed: {}, stalled: 0, blocked: 0 };
  try {
    const { stalled, blocked } = await measureLoads(ports);
    const context: SweepContext = { ports, end, started: [], healed: {}, faults: [] };
    for (const part of [healLoads, checkContracts, clearLeftovers, walkArchive, startReady]) {
      await guarded(context, () => part(context));
    }
    const { started, healed, faults } = context;
    if (faults.length > 0) throw faults[0];
    return { ran: true, started, healed, stalled, blocked };
  } finally {
    await ports.sweeps.end(owner);
  }
}

async function measureLoads({ sweeps, gauges }: SweepPorts): Promise<SweepGauges> {
  const current = await sweeps.gauges();
  gauges.emit({
    Sweeps: 1,
    StalledLoads: current.stalled,
    BlockedLoads: current.blocked,
    BatchesWaiting: current.waiting,
    BatchesInLine: current.inLine,
    WorkItemsPending: current.pendingItems,
    SecondsSinceCheckpoint: current.secondsSinceCheckpoint,
    ConnectionsUsed: current.connectionsUsed,
    Deadlocks: current.deadlocks,
  });
  return current;
}

/**
 * Restarts loads whose execution is gone. A lease that still runs does not tell, so Step Functions is asked: a load
 * that would otherwise wait for the end of its lease goes on at once; one that was ended on purpose is not begun again.
 */
async function healLoads(context: SweepContext): Promise<void> {
  const { heldBatches } = context.ports;
  for (const held of await heldBatches.held("ended")) {
    if (isOver(context)) return;
    await guarded(context, () => takeOver(context, held));
  }
  for (const held of await heldBatches.held("running")) {
    if (isOver(context)) return;
    await guarded(context, () => resume(context, held));
  }
}

const leaseExpired: Ending = {
  kind: "LEASE_EXPIRED",
  detail: "the lease ended, and nothing had been heard of its execution since",
  fault: null,
};

/** Restarts the load even if its execution still runs, or if Step Functions cannot be asked: its lease is over. */
async function takeOver(context: SweepContext, held: HeldBatch): Promise<void> {
  let ending: Ending | null = null;
  await guarded(context, async () => {
    if (!held.marked) ending = await readEnding(context, held);
  });
  await restart(context, held, isFault(ending) ? ending : leaseExpired);
}

const isFault = (ending: Ending | null): ending is Ending => ending !== null && ending.fault !== null;

async function resume(context: SweepContext, held: HeldBatch): Promise<void> {
  const ending = await readEnding(context, held);
  if (ending) await restart(context, held, ending);
}

async function readEnding({ ports }: SweepContext, { owner, state }: HeldBatch): Promise<Ending | null> {
  return owner === null ? null : endingOf({ owner, state }, await ports.executions.find(owner));
}

async function restart(context: SweepContext, held: HeldBatch, { kind, detail, fault }: Ending): Promise<void> {
  const { batchId, state, visits } = held;
  if (!(await context.ports.heldBatches.free(held, fault))) return;
  if (await start(context, batchId, visits)) await record(context, { batchId, kind, detail: `${detail} (${state})` });
}

/**
 * Reports contracts in the bucket that cannot be used: within five minutes, and not only when the next batch arrives,
 * and in every sweep until they are corrected.
 */
async function checkContracts({ ports }: SweepContext): Promise<void> {
  const { contracts, gauges, log } = ports;
  const faults = await contracts.current({ remember: true }).then((current) => current.faults, unusable);
  gauges.emit({ ContractsInvalid: faults.length > 0 ? 1 : 0 });
  if (faults.length > 0) log.warn("CONTRACT_INVALID: the newest contracts cannot be used", { faults });
}

/** Not even an earlier version can be used: loads are blocked by that and report it, and the sweep need not fail. */
function unusable(error: unknown): readonly string[] {
  if (error instanceof BlockedError && error.code === "CONTRACT_INVALID") return [error.message];
  throw error;
}

/** Clears plans, staging and copies in parts that no execution goes on with, and records past their retention. */
async function clearLeftovers(context: SweepContext): Promise<void> {
  const { leftovers, settings } = context.ports;
  for (const healing of await leftovers.dropOrphans()) await record(context, healing);
  await leftovers.forgetOld(settings);
  for (const prefix of [loadedPrefix, failedPrefix]) await abandonUploads(context, prefix);
}

/** The invocation that begins a copy also ends it, so that a copy older than a lease is abandoned. */
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

const pagesAtOnce = 5;

/**
 * Looks through the archive for objects that the ledger knows no commit of, five pages in every sweep, so that its cost
 * does not grow with the archive. After the last page it begins anew.
 */
async function walkArchive(context: SweepContext): Promise<void> {
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

/** Records the whole folder, since a page may end in the middle of it. */
async function recordBatch(context: SweepContext, { batchId, epoch }: ArchivedKey): Promise<void> {
  const { records, uncommitted } = context.ports;
  const seen = await records.seenVersions(batchId, epoch);
  const sources = await findArchivedSources(context.ports, { batchId, epoch, seen });
  if (sources.length === 0) return;
  await uncommitted.record({ batchId, epoch, objects: sources.map(toSeenObject) });
  const detail = `${sources.length} objects in the archive of epoch ${epoch} without a commit; they load when they are approved`;
  await record(context, { kind: "STRAY_ARCHIVE", batchId, detail });
}

/**
 * Starts batches that are ready and that no execution holds: those with uncommitted objects in the archive, and all in
 * staging. If the time runs out, the next sweep goes on from there.
 */
async function startReady(context: SweepContext): Promise<void> {
  const { uncommitted, store, now } = context.ports;
  // After a restore of the database very many of the first may wait for an approval: half of the time is for staging.
  const half = (now() + context.end) / 2;
  await visitAll({ ...context, end: half }, "strays", (after) => uncommittedBatches(uncommitted, after));
  await visitAll(context, "staging", (after) => store.folders(stagingPrefix, after));
}

const batchesAtOnce = 200;

async function* uncommittedBatches(uncommitted: UncommittedObjects, after: string): AsyncGenerator<string> {
  for (let last: string | undefined = after; last !== undefined; ) {
    const batches: string[] = await uncommitted.batches(last, batchesAtOnce);
    yield* batches;
    last = batches.at(-1);
  }
}

type ListFrom = (after: string) => AsyncIterable<string>;

/** Visits batches from where the last sweep stopped to the end, and then from the beginning to there. */
async function visitAll(context: SweepContext, name: CursorName, list: ListFrom): Promise<void> {
  const { sweeps } = context.ports;
  const begun = await sweeps.cursor(name);
  const [last, isDone] = await visitFrom(context, list, begun);
  if (!isDone) return sweeps.moveCursor(name, last);
  const [reached, isRound] = begun === "" ? ["", true] : await visitFrom(context, list, "", begun);
  return sweeps.moveCursor(name, isRound ? "" : reached);
}

/** Answers the last batch that was visited, and whether there was time for all of them. */
async function visitFrom(
  context: SweepContext,
  list: ListFrom,
  after: string,
  until?: string,
): Promise<[string, boolean]> {
  let last = after;
  for await (const batchId of list(after)) {
    if (until !== undefined && batchId > until) break;
    if (isOver(context)) return [last, false];
    await guarded(context, () => visit(context, batchId));
    last = batchId;
  }
  return [last, true];
}

const unknownBatch: BatchInLedger = { state: "waiting", epoch: 1, visits: 0, leased: false, waitingHours: null };

/** Decides as ValidateBatch will, so that a batch that only waits costs no execution. */
async function visit(context: SweepContext, batchId: string): Promise<void> {
  const { ports, started } = context;
  if (started.includes(batchId) || !isBatchId(batchId, ports.settings.batchIdPattern)) return;
  const batch = (await ports.heldBatches.inLedger(batchId)) ?? unknownBatch;
  if (batch.leased) return;
  const { epoch } = batch;
  const sources = await findSources(ports, { batchId, epoch, retry: false, lookInArchive: false });
  const facts = await readFacts(ports, { batchId, ...batch }, sources);
  const decision = decideBatch(facts, executionInput.parse({ batchId, source: "sweep" }));
  if (decision.do === "wait") return noteWaiting(context, batchId, batch.waitingHours, decision);
  if (decision.do !== "load" && decision.do !== "compare") return;
  if (!(await start(context, batchId, batch.visits))) return;
  const missed = sources.filter((source) => isMissed(source, facts.seen)).map(({ stagedKey }) => stagedKey);
  if (missed.length === 0) return;
  const detail = `${missed.length} objects in staging had started nothing, the first is ${missed[0]}`;
  await record(context, { kind: "EVENT_MISSED", batchId, detail });
}

/** True if no event has started an execution: it would have recorded the version, even if the approval came later. */
function isMissed({ object, stagedKey, origin }: Source, seen: readonly SeenVersion[]): boolean {
  if (origin !== "staging" || !object.isLatest) return false;
  return !seen.some(({ key, version }) => key === stagedKey && version === versionLabel(object));
}

async function noteWaiting({ ports }: SweepContext, batchId: string, hours: number | null, why: Fault): Promise<void> {
  const { code, message } = why;
  await ports.heldBatches.noteWaiting(batchId, { code, message });
  if (hours !== null && hours > waitingNoticeHours)
    ports.log.warn("batch waits for more than a day", { batchId, code });
}
