import type { SeenVersion, Source } from "../core/batch.ts";
import { decideBatch } from "../core/decide.ts";
import type { Fault } from "../core/errors.ts";
import { executionInput } from "../core/execution.ts";
import { isBatchId } from "../core/execution-input.ts";
import type { BatchInLedger, CursorName, Strays } from "../core/healing.ts";
import { stagingPrefix, versionLabel } from "../core/keys.ts";
import { readFacts } from "./facts.ts";
import { surveyBatch } from "./survey.ts";
import { guarded, isOver, record, type Sweeping, start } from "./sweeping.ts";

/**
 * Batches that are ready and that nobody holds: those with strays in the archive, and all that lie in staging. Where
 * time is up, the next sweep goes on.
 */
export async function startReady(sweeping: Sweeping): Promise<void> {
  const { strays, store, now } = sweeping.ports;
  // After a restore there may be very many, which wait for their approval: what lies in staging has its turn, too.
  const half = (now() + sweeping.end) / 2;
  await visitAll({ ...sweeping, end: half }, "strays", (after) => batchesWithStrays(strays, after));
  await visitAll(sweeping, "staging", (after) => store.folders(stagingPrefix, after));
}

const straysAtOnce = 200;

async function* batchesWithStrays(strays: Strays, after: string): AsyncGenerator<string> {
  for (let last: string | undefined = after; last !== undefined; ) {
    const batches: string[] = await strays.batches(last, straysAtOnce);
    yield* batches;
    last = batches.at(-1);
  }
}

type ListFrom = (after: string) => AsyncIterable<string>;

/** From where the last sweep stopped to the end, and from the beginning to there. */
async function visitAll(sweeping: Sweeping, name: CursorName, list: ListFrom): Promise<void> {
  const { sweeps } = sweeping.ports;
  const begun = await sweeps.cursor(name);
  const [last, isDone] = await visitFrom(sweeping, list, { after: begun, until: null });
  if (!isDone) return sweeps.moveCursor(name, last);
  const [reached, isRound] = begun === "" ? ["", true] : await visitFrom(sweeping, list, { after: "", until: begun });
  return sweeps.moveCursor(name, isRound ? "" : reached);
}

type Stretch = { readonly after: string; readonly until: string | null };

/** The last one that was visited, and whether there was time for all of them. */
async function visitFrom(sweeping: Sweeping, list: ListFrom, { after, until }: Stretch): Promise<[string, boolean]> {
  let last = after;
  for await (const batchId of list(after)) {
    if (until !== null && batchId > until) break;
    if (isOver(sweeping)) return [last, false];
    await guarded(sweeping, () => visit(sweeping, batchId));
    last = batchId;
  }
  return [last, true];
}

const unknownBatch: BatchInLedger = { state: "waiting", epoch: 1, visits: 0, leased: false, waitingHours: null };
const noticeHours = 24;

/** Decides as ValidateBatch will, so that a batch that only waits costs no execution. */
async function visit(sweeping: Sweeping, batchId: string): Promise<void> {
  const { ports, started } = sweeping;
  if (started.includes(batchId) || !isBatchId(batchId, ports.settings.batchIdPattern)) return;
  const batch = (await ports.watch.inLedger(batchId)) ?? unknownBatch;
  if (batch.leased) return;
  const { epoch } = batch;
  const sources = await surveyBatch(ports, { batchId, epoch, retry: false, lookInArchive: false });
  const facts = await readFacts(ports, { batchId, ...batch }, sources);
  const decision = decideBatch(facts, executionInput.parse({ batchId, source: "sweep" }));
  if (decision.do === "wait") return noteWaiting(sweeping, { batchId, hours: batch.waitingHours, reason: decision });
  if (decision.do !== "load" && decision.do !== "compare") return;
  if (!(await start(sweeping, batchId, batch.visits))) return;
  const missed = sources.filter((source) => isMissed(source, facts.seen)).map(({ homeKey }) => homeKey);
  if (missed.length === 0) return;
  const detail = `${missed.length} objects in staging had started nothing, the first is ${missed[0]}`;
  await record(sweeping, { kind: "EVENT_MISSED", batchId, detail });
}

/** What an arrival starts is written down at once; what is approved late was. */
function isMissed({ object, homeKey, origin }: Source, seen: readonly SeenVersion[]): boolean {
  if (origin !== "staging" || !object.isLatest) return false;
  return !seen.some(({ key, version }) => key === homeKey && version === versionLabel(object));
}

type Waiting = { readonly batchId: string; readonly hours: number | null; readonly reason: Fault };

async function noteWaiting({ ports }: Sweeping, { batchId, hours, reason }: Waiting): Promise<void> {
  const { code, message } = reason;
  await ports.watch.noteWaiting(batchId, { code, message });
  if (hours !== null && hours > noticeHours) ports.log.warn("batch waits for more than a day", { batchId, code });
}
