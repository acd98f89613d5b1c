import type { SeenVersion, Source } from "../core/batch.ts";
import { decideBatch } from "../core/decide.ts";
import { sweepTimeoutSeconds, waitingNoticeHours } from "../core/durations.ts";
import { BlockedError, type Fault } from "../core/errors.ts";
import { executionInput, isBatchId } from "../core/execution.ts";
import {
  type ArchivedKey,
  batchOfArchive,
  failedPrefix,
  loadedPrefix,
  parseArchivedKey,
  stagingPrefix,
  versionLabel,
} from "../core/keys.ts";
import {
  type BatchInLedger,
  type CursorName,
  type Ending,
  endingOf,
  type HeldBatch,
  type SweepGauges,
  type UncommittedObjects,
} from "../core/sweep-ports.ts";
import { findArchivedSources, findSources, readFacts, toSeenObject } from "./find-sources.ts";
import { guarded, isOver, record, type SweepContext, type SweepPorts, start } from "./sweep-context.ts";

/**
 * sweep: finds what no event will move any more, and starts it again. What is broken comes first; staging and archive
 * are walked a bounded way in each sweep, so that neither can keep the others waiting.
 */

type SweepAnswer = Pick<SweepContext, "started" | "healed"> & {
  readonly ran: boolean;
  readonly stalled: number;
  readonly blocked: number;
};

const nothing: SweepAnswer = { ran: false, started: [], healed: {}, stalled: 0, blocked: 0 };

/** What was begun has to end in it. */
const reserveSeconds = 60;

/** @param deadline milliseconds since the epoch, when this invocation ends */
export async function sweep(ports: SweepPorts, _event: unknown, deadline: number): Promise<SweepAnswer> {
  const owner = ports.newId();
  const end = Math.min(deadline, ports.now() + sweepTimeoutSeconds * 1000) - reserveSeconds * 1000;
  if (!(await ports.sweeps.begin(owner))) return nothing;
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
 * Whether the contracts in the bucket can be used: a new text that cannot is told within five minutes, and not only when
 * the next batch arrives, and until it is mended.
 */
async function checkContracts({ ports }: SweepContext): Promise<void> {
  const { contracts, gauges, log } = ports;
  const faults = await contracts.current({ remember: true }).then((current) => current.faults, unusable);
  gauges.emit({ ContractsInvalid: faults.length > 0 ? 1 : 0 });
  if (faults.length > 0) log.warn("CONTRACT_INVALID: the newest contracts cannot be used", { faults });
}

/** Then not even older ones can be: whoever loads is blocked by it and says so; it is no fault of the sweep's. */
function unusable(error: unknown): readonly string[] {
  if (error instanceof BlockedError && error.code === "CONTRACT_INVALID") return [error.message];
  throw error;
}

/** Plans, staging and copies in parts that nobody goes on with, and what need not be kept any longer. */
async function clearLeftovers(context: SweepContext): Promise<void> {
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

/**
 * Loads whose execution is gone. A lease that runs says nothing of that, so Step Functions is asked: what would
 * otherwise stand still until the lease ends goes on at once, and what was ended on purpose is not begun again.
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

/** Whatever its execution does, and whether that can be found out, its time is over. */
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
 * Batches that are ready and that nobody holds: those with strays in the archive, and all that lie in staging. Where
 * time is up, the next sweep goes on.
 */
async function startReady(context: SweepContext): Promise<void> {
  const { uncommitted, store, now } = context.ports;
  // After a restore there may be very many, which wait for their approval: what lies in staging has its turn, too.
  const half = (now() + context.end) / 2;
  await visitAll({ ...context, end: half }, "strays", (after) => batchesWithStrays(uncommitted, after));
  await visitAll(context, "staging", (after) => store.folders(stagingPrefix, after));
}

const straysAtOnce = 200;

async function* batchesWithStrays(uncommitted: UncommittedObjects, after: string): AsyncGenerator<string> {
  for (let last: string | undefined = after; last !== undefined; ) {
    const batches: string[] = await uncommitted.batches(last, straysAtOnce);
    yield* batches;
    last = batches.at(-1);
  }
}

type ListFrom = (after: string) => AsyncIterable<string>;

/** From where the last sweep stopped to the end, and from the beginning to there. */
async function visitAll(context: SweepContext, name: CursorName, list: ListFrom): Promise<void> {
  const { sweeps } = context.ports;
  const begun = await sweeps.cursor(name);
  const [last, isDone] = await visitFrom(context, list, { after: begun, until: null });
  if (!isDone) return sweeps.moveCursor(name, last);
  const [reached, isRound] = begun === "" ? ["", true] : await visitFrom(context, list, { after: "", until: begun });
  return sweeps.moveCursor(name, isRound ? "" : reached);
}

type Stretch = { readonly after: string; readonly until: string | null };

/** The last one that was visited, and whether there was time for all of them. */
async function visitFrom(context: SweepContext, list: ListFrom, { after, until }: Stretch): Promise<[string, boolean]> {
  let last = after;
  for await (const batchId of list(after)) {
    if (until !== null && batchId > until) break;
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
  if (decision.do === "wait") return noteWaiting(context, { batchId, hours: batch.waitingHours, reason: decision });
  if (decision.do !== "load" && decision.do !== "compare") return;
  if (!(await start(context, batchId, batch.visits))) return;
  const missed = sources.filter((source) => isMissed(source, facts.seen)).map(({ stagedKey }) => stagedKey);
  if (missed.length === 0) return;
  const detail = `${missed.length} objects in staging had started nothing, the first is ${missed[0]}`;
  await record(context, { kind: "EVENT_MISSED", batchId, detail });
}

/** What an arrival starts is written down at once; what is approved late was. */
function isMissed({ object, stagedKey, origin }: Source, seen: readonly SeenVersion[]): boolean {
  if (origin !== "staging" || !object.isLatest) return false;
  return !seen.some(({ key, version }) => key === stagedKey && version === versionLabel(object));
}

type Waiting = { readonly batchId: string; readonly hours: number | null; readonly reason: Fault };

async function noteWaiting({ ports }: SweepContext, { batchId, hours, reason }: Waiting): Promise<void> {
  const { code, message } = reason;
  await ports.heldBatches.noteWaiting(batchId, { code, message });
  if (hours !== null && hours > waitingNoticeHours)
    ports.log.warn("batch waits for more than a day", { batchId, code });
}

/**
 * Looks through the archive for objects of which the ledger knows no commit, a few pages in every sweep: what it costs
 * does not grow with the archive. After the last page it begins anew.
 */
const pagesAtOnce = 5;

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
