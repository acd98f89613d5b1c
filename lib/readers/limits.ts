import { largestFragment } from "../core/objects.ts";

/** What a fragment may ask of the reader. Bytes are decoded bytes. */
export type ReadLimits = {
  /** @default 64 GiB */
  readonly maxDecodedBytes: number;
  /** One record; also everything beside the records: metadata in front of them, and behind. @default 32 MiB */
  readonly maxRecordBytes: number;
  /** Values in one record, and beside the records, at all depths: what a few bytes can cost in memory. @default 500,000 */
  readonly maxValues: number;
  /** Nested arrays and objects in a record, itself included. @default 500 */
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
