/** How much a worker takes at a time, by what it has measured: chunks follow the memory, slices the throughput. */
export type Pace = {
  /** Records per COPY chunk. */
  readonly groupRecords: number;
  /** Bytes between two checkpoints. */
  readonly sliceBytes: number;
};

export type Measured = {
  readonly bytes: number;
  readonly seconds: number;
  /** Resident memory as a share of the limit; 0 where there is no limit. */
  readonly memoryShare: number;
};

const largestSlice = 256 * 1024 * 1024;
const smallestSlice = 1024 * 1024;
const smallestChunk = 16;
/** Well below the limit at which a slice ends anyway, so that a slow database costs little when a worker dies. */
const targetSeconds = 20;
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
  const wanted = telling ? (bytes / seconds) * targetSeconds : sliceBytes;
  return {
    groupRecords: nextChunk(groupRecords, memoryShare, batchSize),
    sliceBytes: Math.round(Math.min(largestSlice, Math.max(smallestSlice, wanted))),
  };
}

function nextChunk(groupRecords: number, memoryShare: number, batchSize: number): number {
  if (memoryShare > highMemory) return Math.max(Math.min(smallestChunk, batchSize), Math.floor(groupRecords / 2));
  return memoryShare < lowMemory ? Math.min(batchSize, groupRecords * 2) : groupRecords;
}
