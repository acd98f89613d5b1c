import { longestTurnPauseSeconds, sliceTargetSeconds, turnSettleSeconds } from "./durations.ts";

/**
 * Turns, workers and pace: how many loads may begin, how many workers each gets, and how much a worker takes at a time.
 * The cap on workers is the reserved concurrency of the worker function; these rules keep loads from running into it.
 */

export type FreeCapacity = {
  /** Workers of other plans that may still be at work. */
  readonly workers: number;
  /** Loads that are being staged or committed. */
  readonly loads: number;
  /** Connections that may still be opened before four fifths of the server's limit are used. */
  readonly freeConnections: number;
  /** Sessions that wait for a lock; more writers would only make more of them wait. */
  readonly lockWaits: number;
};

export type WorkerLimits = {
  /** Workers of all loads together. */
  readonly maxWorkers: number;
  /** Loads at a time; the others wait for their turn. */
  readonly maxLoads: number;
};

const bytesPerWorker = 8 * 1024 * 1024;
/** For small fragments, whose cost is that of their round trips. */
const fragmentsPerWorker = 100;
/** More than about eight writers slow a table down. */
const workersPerLoad = 8;

/** One worker for every 8 MB or 100 fragments, at most eight, and never more than fragments. `sizes` are in bytes. */
export function wantedWorkers(sizes: readonly number[]): number {
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const wanted = Math.max(Math.ceil(bytes / bytesPerWorker), Math.ceil(sizes.length / fragmentsPerWorker));
  return Math.max(1, Math.min(wanted, sizes.length, workersPerLoad));
}

/** Number of loads that may begin now. If none is at work, one always may: its end is what frees capacity again. */
export function freeLoads(capacity: FreeCapacity, { maxLoads, maxWorkers }: WorkerLimits): number {
  const byCapacity = Math.min(maxLoads - capacity.loads, maxWorkers - capacity.workers, capacity.freeConnections);
  return Math.max(byCapacity, capacity.loads === 0 ? 1 : 0);
}

/**
 * Workers of a load that begins now: at least one, since a load without a worker would never end.
 *
 * @param others loads that wait for their turn, which share the free workers
 */
export function assignWorkers(wanted: number, capacity: FreeCapacity, { maxWorkers, others }: Assignment): number {
  const free = Math.min(maxWorkers - capacity.workers, capacity.freeConnections);
  const share = Math.ceil(free / (others + 1));
  const calm = capacity.lockWaits > 0 ? Math.ceil(wanted / (capacity.lockWaits + 1)) : wanted;
  return Math.max(1, Math.min(wanted, share, calm));
}

type Assignment = { readonly maxWorkers: number; readonly others: number };

/** Worker numbers, as the Map state takes them. */
export function numberWorkers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

const leastWait = 2;
/** Small loads that begin and end in a second. */
const loadsPerSecond = 5;

/**
 * Pause as a share of the time waited, so that a wait of hours stays within the events of an execution. It is not more,
 * because a free turn stays unused until the first batch asks again, and small loads take a second or two.
 */
const shareOfWaited = 0.01;

/**
 * Seconds until a batch asks again for its turn: fewer the fewer batches are ahead and the shorter it has waited.
 *
 * @param waited seconds that it has waited
 */
export function secondsUntilAsked(ahead: number, waited: number): number {
  const wanted = Math.max(ahead / loadsPerSecond, waited * shareOfWaited);
  return Math.max(leastWait, Math.min(longestTurnPauseSeconds, Math.ceil(wanted)));
}

/** True if the batch may begin. If more wait than may begin, each waits some seconds until all have a place. */
export function isTurn(
  place: { readonly ahead: number; readonly waiting: number; readonly waited: number },
  free: number,
): boolean {
  if (place.ahead >= free) return false;
  return place.waiting <= free || place.waited >= turnSettleSeconds;
}

export type TurnRequest = {
  readonly batchId: string;
  /** The fence of its claim: an execution that was overtaken must not get a place again once the load has begun. */
  readonly fence: number;
  readonly owner: string;
  /** Orders the batches: the one that was approved first goes first. */
  readonly approvedAt: Date;
  /** Workers that the fragments ask for. */
  readonly wanted: number;
};

export type Turn =
  /** `workers` is null for a load that goes on and has its place already: they are assigned when it is planned. */
  | { readonly turn: "now"; readonly workers: number | null }
  | { readonly turn: "later"; readonly ahead: number; readonly waitSeconds: number }
  /** The execution has waited so long that another one has to go on with the batch. */
  | { readonly turn: "expired"; readonly ahead: number }
  /** Another execution waits for this batch already. */
  | { readonly turn: "elsewhere" };

/** The turns of batches that are ready, and their workers. */
export interface Turns {
  /** Takes or keeps a place; if it is the batch's turn, its workers are reserved until its plan is written. */
  enter(request: TurnRequest): Promise<Turn>;
  /** True if this execution waits for the batch's turn. */
  waits(batchId: string, owner: string): Promise<boolean>;
  /** Workers for a plan that needs no turn: a takeover, a comparison, a preview. */
  assign(planId: number, wanted: number): Promise<number>;
}

/** Amounts that a worker takes at a time: chunks follow the measured memory, slices the throughput. */
export type Pace = {
  /** Records per COPY chunk. */
  readonly groupRecords: number;
  /** Bytes between two checkpoints. */
  readonly sliceBytes: number;
};

type Measured = {
  readonly bytes: number;
  readonly seconds: number;
  /** Resident memory as a share of the limit; 0 if there is no limit. */
  readonly memoryShare: number;
};

const largestSlice = 256 * 1024 * 1024;
const smallestSlice = 1024 * 1024;
const smallestChunk = 16;
/** Seconds from which a slice tells the throughput; a shorter one is mostly round trips. */
const tellingSeconds = 5;
const highMemory = 0.8;
const lowMemory = 0.6;

export function startPace(batchSize: number): Pace {
  return { groupRecords: batchSize, sliceBytes: largestSlice };
}

/** @param batchSize the most records of a chunk */
export function nextPace({ groupRecords, sliceBytes }: Pace, measured: Measured, batchSize: number): Pace {
  const { bytes, seconds, memoryShare } = measured;
  const telling = seconds >= tellingSeconds && bytes > 0;
  const wanted = telling ? (bytes / seconds) * sliceTargetSeconds : sliceBytes;
  return {
    groupRecords: nextChunk(groupRecords, memoryShare, batchSize),
    sliceBytes: Math.round(Math.min(largestSlice, Math.max(smallestSlice, wanted))),
  };
}

function nextChunk(groupRecords: number, memoryShare: number, batchSize: number): number {
  if (memoryShare > highMemory) return Math.max(Math.min(smallestChunk, batchSize), Math.floor(groupRecords / 2));
  return memoryShare < lowMemory ? Math.min(batchSize, groupRecords * 2) : groupRecords;
}
