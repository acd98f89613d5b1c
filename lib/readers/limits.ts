/** What a fragment may ask of the reader. Bytes are decoded bytes. */
export type ReadLimits = {
  /** @default 64 GiB: bounds what a decompression bomb can cost. */
  readonly maxDecodedBytes: number;
  /** One record; also everything beside the records: metadata in front of them, and behind. @default 64 MiB */
  readonly maxRecordBytes: number;
  /** Nested arrays and objects in a record, itself included. @default 500 */
  readonly maxDepth: number;
  /** Bytes of records that are parsed together. @default 128 KiB */
  readonly groupBytes: number;
};

const mebibyte = 1024 * 1024;

export const defaultReadLimits: ReadLimits = {
  maxDecodedBytes: 64 * 1024 * mebibyte,
  maxRecordBytes: 64 * mebibyte,
  maxDepth: 500,
  groupBytes: 128 * 1024,
};
