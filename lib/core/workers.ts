import { longestTurnPauseSeconds, sliceTargetSeconds, turnSettleSeconds } from "./durations.ts";

/**
 * How many workers a load gets: what its fragments ask for, within what the database and the other loads leave. The
 * cap itself is the reserved concurrency of the worker function; this keeps loads from running into it.
 */

export type FreeCapacity = {
  /** Workers that other plans were given and that may still be at work. */
  readonly workers: number;
  /** Loads that are being staged or committed. */
  readonly loads: number;
  /** Connections that the server still takes before four fifths of its limit are used. */
  readonly freeConnections: number;
  /** Sessions that wait for a lock: more writers would only make more of them wait. */
  readonly lockWaits: number;
};

export type WorkerLimits = {
  /** Workers of all loads together. */
  readonly maxWorkers: number;
  /** Loads at a time; the others stand in line. */
  readonly maxLoads: number;
};

const bytesPerWorker = 8 * 1024 * 1024;
/** A small fragment costs its round trips. */
const fragmentsPerWorker = 100;
/** More than about eight writers into one table make it slower. */
const workersPerLoad = 8;

/** One worker for every 8 MB or 100 fragments, at most eight, and never more than fragments. */
export function wantedWorkers(sizes: readonly number[]): number {
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const wanted = Math.max(Math.ceil(bytes / bytesPerWorker), Math.ceil(sizes.length / fragmentsPerWorker));
  return Math.max(1, Math.min(wanted, sizes.length, workersPerLoad));
}

/** Loads that may begin now. The first one always may: it is what frees the room again. */
export function freeLoads(capacity: FreeCapacity, { maxLoads, maxWorkers }: WorkerLimits): number {
  const byRoom = Math.min(maxLoads - capacity.loads, maxWorkers - capacity.workers, capacity.freeConnections);
  return Math.max(byRoom, capacity.loads === 0 ? 1 : 0);
}

/**
 * The workers of a load that begins now; never none, since a load without a worker would never end.
 *
 * @param others loads that wait for their turn: what is left is shared with them
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
/** Small loads pass that quickly. */
const loadsPerSecond = 5;

/**
 * Of the time that it has waited already, so that hours in line stay within the events of an execution. No more: as long
 * as the first in line does not ask, a place that is free stays empty, and small loads take a second or two.
 */
const shareOfWaited = 0.01;

/**
 * Seconds until a batch that stands in line asks again: sooner the nearer it is to the head and the shorter it waits.
 *
 * @param waited seconds that it has stood in line
 */
export function secondsUntilAsked(ahead: number, waited: number): number {
  const wanted = Math.max(ahead / loadsPerSecond, waited * shareOfWaited);
  return Math.max(leastWait, Math.min(longestTurnPauseSeconds, Math.ceil(wanted)));
}

/** @param waited seconds that the batch has stood in line */
export function isTurn(
  place: { readonly ahead: number; readonly waiting: number; readonly waited: number },
  free: number,
): boolean {
  if (place.ahead >= free) return false;
  return place.waiting <= free || place.waited >= turnSettleSeconds;
}

export type TurnRequest = {
  readonly batchId: string;
  /** Of the claim under which it asks: whoever was overtaken must not stand in line again when the load has begun. */
  readonly fence: number;
  readonly owner: string;
  /** The batch's place: who was approved first goes first. */
  readonly approvedAt: Date;
  /** Workers that the fragments ask for. */
  readonly wanted: number;
};

export type Turn =
  /** Without workers where a load goes on that has its place already: they are dealt when it is planned. */
  | { readonly turn: "now"; readonly workers: number | null }
  | { readonly turn: "later"; readonly ahead: number; readonly waitSeconds: number }
  /** It has waited so long that another execution has to go on with it. */
  | { readonly turn: "tired"; readonly ahead: number }
  /** Another execution waits for this batch already. */
  | { readonly turn: "elsewhere" };

/** The line of batches that are ready, and what each of them gets of the database. */
export interface Turns {
  /** Takes or keeps a place; where it is the batch's turn, the room is kept for it until its plan is written. */
  enter(request: TurnRequest): Promise<Turn>;
  /** Whether this execution waits for the batch's turn. */
  waits(batchId: string, owner: string): Promise<boolean>;
  /** Workers for a plan that does not stand in line: a takeover, a comparison, a preview. */
  assign(planId: number, wanted: number): Promise<number>;
}

/** How much a worker takes at a time, by what it has measured: chunks follow the memory, slices the throughput. */
export type Pace = {
  /** Records per COPY chunk. */
  readonly groupRecords: number;
  /** Bytes between two checkpoints. */
  readonly sliceBytes: number;
};

type Measured = {
  readonly bytes: number;
  readonly seconds: number;
  /** Resident memory as a share of the limit; 0 where there is no limit. */
  readonly memoryShare: number;
};

const largestSlice = 256 * 1024 * 1024;
const smallestSlice = 1024 * 1024;
const smallestChunk = 16;
/** Of shorter slices most is the round trips. */
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
