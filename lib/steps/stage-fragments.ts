import { sliceSeconds, stagePatience, stageReserveSeconds } from "../core/durations.ts";
import { PermanentError, TransientError } from "../core/errors.ts";
import { kinds } from "../core/kinds.ts";
import type { Answer } from "../core/machine.ts";
import type { ObjectStore, ObjectVersion } from "../core/objects.ts";
import { type Plan, planMissing, type TablePlan } from "../core/plan.ts";
import type { CrashPointHook, Gauges, Log, Plans, Slices, WorkItems } from "../core/ports.ts";
import type { ReadPosition, RecordGroup, TakeRecord } from "../core/records.ts";
import type { StageRequest } from "../core/run.ts";
import type { SliceEncoder, SliceWriter, TableEncoder, TargetStaging } from "../core/target.ts";
import type { SliceProgress, WorkItem } from "../core/work-item.ts";
import { nextPace, type Pace, startPace } from "../core/workers.ts";
import { verifyChecksum } from "./verify-counts.ts";

/** StageFragments: takes work items from the ledger until none is left, and stages their records slice by slice. */

export type ReadRecords = (
  store: ObjectStore,
  version: ObjectVersion,
  options: { from: ReadPosition | null; take?: TakeRecord; limits?: { groupRecords?: number } },
) => AsyncGenerator<RecordGroup, unknown>;

type StagePorts = {
  readonly plans: Plans;
  readonly items: WorkItems;
  readonly slices: Slices;
  readonly encoder: TargetStaging["encoder"];
  readonly store: ObjectStore;
  readonly read: ReadRecords;
  readonly log: Log;
  readonly gauges: Gauges;
  readonly crashPoint: CrashPointHook;
  readonly now: () => number;
  readonly pause: (milliseconds: number) => Promise<void>;
  /** Resident memory as a share of the limit; 0 if there is no limit. */
  readonly memoryShare: () => number;
};

/** A table of the plan and its place in it. */
type StagedTable = { readonly plan: TablePlan; readonly index: number; readonly encoder: TableEncoder };

type StageAnswer = { readonly next: Answer<"StageFragments">; readonly worker: number };

/** @param deadline milliseconds since the epoch, when this invocation ends */
export async function stageFragments(
  ports: StagePorts,
  { run, worker }: StageRequest,
  deadline: number,
): Promise<StageAnswer> {
  const plan = await ports.plans.read(run.planId);
  if (!plan) throw planMissing(run);
  const tables = new Map(
    plan.body.tables.map((table, index): [string, StagedTable] => [
      table.table,
      { plan: table, index, encoder: ports.encoder(table) },
    ]),
  );
  const stopAt = deadline - stageReserveSeconds * 1000;
  const progress = openStageProgress(ports);
  const shift: Shift = { ports, plan, request: { run, worker }, stopAt, pacer: openPacer(ports, plan), progress };
  return await work(shift, tables).finally(progress.tell);
}

async function work(shift: Shift, tables: ReadonlyMap<string, StagedTable>): Promise<StageAnswer> {
  const { ports, stopAt } = shift;
  const { run, worker } = shift.request;
  let idleSince: number | null = null;
  while (ports.now() < stopAt) {
    const item = await ports.items.take(run, worker);
    if (!item) {
      if (!(await ports.items.anyPending(run))) return { next: "done", worker };
      idleSince ??= ports.now();
      if (ports.now() - idleSince >= stagePatience.seconds * 1000) return { next: "wait", worker };
      await ports.pause(stagePatience.lookMilliseconds);
      continue;
    }
    idleSince = null;
    await stageItem(shift, item, tables.get(item.table) ?? null);
  }
  return { next: "more", worker };
}

type Shift = {
  readonly ports: StagePorts;
  readonly plan: Plan;
  readonly request: Pick<StageRequest, "run" | "worker">;
  readonly stopAt: number;
  readonly pacer: Pacer;
  readonly progress: StageProgress;
};

type Pacer = { pace(): Pace; sliceEnded(bytes: number, seconds: number): void };

function openPacer({ memoryShare }: StagePorts, { body }: Plan): Pacer {
  let pace = startPace(body.batchSize);
  return {
    pace: () => pace,
    sliceEnded: (bytes, seconds) => {
      pace = nextPace(pace, { bytes, seconds, memoryShare: memoryShare() }, body.batchSize);
    },
  };
}

/** Notes the fault of a fragment that cannot be read; the others are staged nonetheless, so that all are named. */
async function stageItem(shift: Shift, item: WorkItem, table: StagedTable | null): Promise<void> {
  let current = item;
  try {
    if (item.slices === 0) await readingAgain(() => verifyChecksum(shift.ports.store, shift.plan, item));
    while (current.state === "pending" && shift.ports.now() < shift.stopAt) {
      const before = current;
      current = await readingAgain(() => stageSlice(shift, before, table));
    }
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    const { fault } = error;
    shift.ports.log.warn("fragment failed", { code: fault.code, key: item.object.key, table: item.table });
    await shift.ports.items.fail(shift.request.run, current, fault);
  }
}

const maxReads = 3;

/**
 * Reads up to three times at once if a checksum does not match: bytes may be damaged on the way. If they
 * differ each time, they are damaged in the bucket, which is the object's own fault.
 */
async function readingAgain<T>(read: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n += 1) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof TransientError && error.code === "S3_CHECKSUM")) throw error;
      if (n === maxReads) throw new PermanentError(error.code, `${error.text}, ${n} times by now`, { cause: error });
    }
  }
}

async function stageSlice(shift: Shift, item: WorkItem, table: StagedTable | null): Promise<WorkItem> {
  const { ports, request, plan } = shift;
  const staging = table && kinds[plan.kind].stages ? { plan: table.plan, index: table.index } : null;
  const slice = { run: request.run, worker: request.worker, item, staging };
  const reading = beginReading(shift, item, table);
  try {
    // The first group is read before there is a transaction, so that a refusal by S3 needs none.
    const first = await reading.groups.next();
    const next = await ports.slices.stage(slice, async (writer) => {
      const progress = await readSlice(shift, { ...reading, first, writer });
      await ports.crashPoint("after-copy");
      return progress;
    });
    shift.progress.checkpoint(item, next);
    return next;
  } finally {
    // Not awaited: if the database stopped answering, a read may still be on its way.
    reading.groups.return(undefined).catch(() => undefined);
  }
}

/** The reading of one slice. */
type Reading = {
  readonly item: WorkItem;
  readonly sliceBytes: number;
  /** Null if the plan has no such table: then the records are only counted. */
  readonly encoder: SliceEncoder | null;
  readonly groups: ReturnType<ReadRecords>;
};

function beginReading({ ports, pacer }: Shift, item: WorkItem, table: StagedTable | null): Reading {
  const { groupRecords, sliceBytes } = pacer.pace();
  const encoder = table?.encoder.begin(item) ?? null;
  const options = { from: item.position, limits: { groupRecords } };
  const groups = ports.read(ports.store, item.object, encoder === null ? options : { ...options, take: encoder.take });
  return { item, sliceBytes, encoder, groups };
}

type Encoding = Reading & { readonly first: IteratorResult<RecordGroup, unknown>; readonly writer: SliceWriter };

/** Reads records from the item's position on until the fragment or the slice's budget ends. */
async function readSlice({ ports, stopAt, pacer }: Shift, encoding: Encoding): Promise<SliceProgress> {
  const { item, sliceBytes, encoder, groups, first, writer } = encoding;
  // Timed from the first records on: to find them in compressed bytes, all that comes before them is decoded.
  const started = ports.now();
  let bytes = 0;
  let records = 0;
  let position = item.position ?? startPosition;
  let done = true;
  for (let next = first; !next.done; next = await groups.next()) {
    const group = next.value;
    await encoder?.send(group, writer);
    records += group.count;
    bytes += group.bytes;
    position = group.next;
    await ports.crashPoint("mid-copy");
    if (bytes >= sliceBytes || ports.now() - started >= sliceSeconds * 1000 || ports.now() >= stopAt) {
      done = false;
      await groups.return(undefined);
      break;
    }
  }
  pacer.sliceEnded(bytes, (ports.now() - started) / 1000);
  const collected = (await encoder?.end()) ?? { rejects: [], rejected: 0, nulled: 0, fingerprint: 0n };
  return { position, records, bytes, done, ...collected };
}

const startPosition: ReadPosition = { offset: 0, records: 0, state: {} };

/** Metrics of one worker's checkpoints, emitted on the way: an invocation may take a quarter of an hour. */
type StageProgress = {
  checkpoint(before: WorkItem, after: WorkItem): void;
  /** Emits what was not emitted yet. */
  tell(): void;
};

/** Time between two emissions: that of a large fragment's checkpoints, since small ones have thousands. */
const tellMilliseconds = sliceSeconds * 1000;

function openStageProgress({ gauges, now }: { gauges: Gauges; now: () => number }): StageProgress {
  let since = now();
  let records = 0;
  let bytes = 0;
  const tell = (): void => {
    const seconds = (now() - since) / 1000;
    const rate = seconds > 0 && records > 0 ? { StagedRecordsPerSecond: records / seconds } : {};
    if (records > 0 || bytes > 0) gauges.emit({ StagedRecords: records, StagedBytes: bytes, ...rate });
    since = now();
    records = 0;
    bytes = 0;
  };
  return {
    checkpoint: (before, after) => {
      records += after.records - before.records;
      bytes += after.bytes - before.bytes;
      if (now() - since >= tellMilliseconds) tell();
    },
    tell,
  };
}
