import type { Gauges, WorkItem } from "../core/ports.ts";

/** How far the checkpoints of one worker move on, told by the way: an invocation may take a quarter of an hour. */
export type StageProgress = {
  checkpoint(before: WorkItem, after: WorkItem): void;
  /** Tells what was not told yet. */
  tell(): void;
};

/** As often as a large fragment has a checkpoint; small ones have thousands. */
const tellMilliseconds = 30_000;

export function openStageProgress({ gauges, now }: { gauges: Gauges; now: () => number }): StageProgress {
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
