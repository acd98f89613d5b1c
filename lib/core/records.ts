import type { JsonValue } from "./json.ts";

/** The position at which reading goes on; checkpoints keep it as JSON. */
export type ReadPosition = {
  /** Offset in the decoded bytes of the first byte not yet consumed. */
  readonly offset: number;
  /** Number of records before the offset. */
  readonly records: number;
  /** State that only the reader understands: shape, compression, line. */
  readonly state: Readonly<Record<string, string | number | boolean | null>>;
};

export type SourceRecord = {
  /** 1 for the first record of the fragment. */
  readonly number: number;
  /** Offset of its first byte in the decoded fragment. */
  readonly offset: number;
  readonly value: JsonValue;
  /** Path of the first name that an object in the record has twice (`a.0.b`), or null. */
  readonly duplicate: string | null;
};

/** A record before it is parsed: valid UTF-8 from its opening brace through its closing one, and its tokens. */
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

/** Called with every record before it is parsed; true if it takes the record, which is then not parsed at all. */
export type TakeRecord = (record: RawRecord) => boolean;

/** Some records in the order of the fragment, and the position after them. */
export type RecordGroup = {
  /** The records that `TakeRecord` did not take. */
  readonly records: readonly SourceRecord[];
  /** Number of all records, taken ones included. */
  readonly count: number;
  readonly next: ReadPosition;
  /** Bytes of the decoded fragment that the group takes up. */
  readonly bytes: number;
  /** The text of one of the group's records, as it is in the fragment. */
  readonly rawText: (record: SourceRecord) => string;
};
