import type { JsonValue } from "./json.ts";

/** The position at which reading goes on. Its state is known to the reader alone; checkpoints keep it as JSON. */
export type ReadPosition = {
  /** Offset in the decoded bytes of the first byte not yet consumed. */
  readonly offset: number;
  /** Number of records before the offset. */
  readonly records: number;
  /** The reader's own state: shape, depth, line. */
  readonly state: Readonly<Record<string, string | number | boolean | null>>;
};

export type SourceRecord = {
  /** 1 for the first record of the fragment. */
  readonly number: number;
  /** Offset of its first byte in the decoded fragment. */
  readonly offset: number;
  readonly value: JsonValue;
  /** Path of the first name that an object of the record has twice (`a.0.b`), or null. */
  readonly duplicate: string | null;
};

/** A record before it is parsed: valid UTF-8 from its opening brace up to and with the closing one, and its tokens. */
export type RawRecord = {
  bytes: Uint8Array;
  from: number;
  to: number;
  number: number;
  /** Three integers a token: see `json-tokens`. */
  tokens: Int32Array;
  /** Index of the record's opening brace in `tokens`. */
  token: number;
};

/** Is offered every record first; true if it took the record, which then need not be parsed. */
export type TakeRecord = (record: RawRecord) => boolean;

/** Some records in the order of the fragment, and the position behind them. */
export type RecordGroup = {
  /** The records that were not taken before they were parsed. */
  readonly records: readonly SourceRecord[];
  /** Number of all records, taken ones included. */
  readonly count: number;
  readonly next: ReadPosition;
  /** Bytes of the decoded fragment that the group takes up. */
  readonly bytes: number;
  /** The text of one of the group's records as it was written. */
  readonly rawText: (record: SourceRecord) => string;
};
