import { largestFragment } from "../core/objects.ts";

/** What one fragment may cost the reader. Bytes are decoded bytes. */
export type ReadLimits = {
  /** @default 64 GiB */
  readonly maxDecodedBytes: number;
  /** Of one record; also of all metadata before the records, and of all behind them. @default 32 MiB */
  readonly maxRecordBytes: number;
  /** Values of one record, or of its metadata, at all depths: a few bytes can cost much memory. @default 500,000 */
  readonly maxValues: number;
  /** Levels of arrays and objects in a record, which is itself the first. @default 500 */
  readonly maxDepth: number;
  /** Bytes of records that are parsed together. @default 128 KiB */
  readonly groupBytes: number;
  /** Records that are parsed together. @default 100,000 */
  readonly groupRecords: number;
};

const mebibyte = 1024 * 1024;

export const defaultReadLimits: ReadLimits = {
  maxDecodedBytes: largestFragment,
  maxRecordBytes: 32 * mebibyte,
  maxValues: 500_000,
  maxDepth: 500,
  groupBytes: 128 * 1024,
  groupRecords: 100_000,
};
