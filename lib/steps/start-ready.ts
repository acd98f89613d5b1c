import type { SeenVersion, Source } from "../core/batch.ts";
import { decideBatch } from "../core/decide.ts";
import type { Fault } from "../core/errors.ts";
import { executionInput } from "../core/execution.ts";
import { isBatchId } from "../core/execution-input.ts";
import { stagingPrefix, versionLabel } from "../core/keys.ts";
import type { BatchInLedger, CursorName, UncommittedObjects } from "../core/sweep-ports.ts";
import { readFacts } from "./facts.ts";
import { findSources } from "./find-sources.ts";
import { guarded, isOver, record, type SweepContext, start } from "./sweep-context.ts";

/**
 * Batches that are ready and that nobody holds: those with strays in the archive, and all that lie in staging. Where
 * time is up, the next sweep goes on.
 */
export async function startReady(context: SweepContext): Promise<void> {
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
const noticeHours = 24;

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
  if (hours !== null && hours > noticeHours) ports.log.warn("batch waits for more than a day", { batchId, code });
}
