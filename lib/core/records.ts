import type { JsonValue } from "./json.ts";

/**
 * Where reading goes on. Only the reader that wrote it knows its members; everybody else keeps it as JSON in a
 * checkpoint.
 */
export type ReadPosition = {
  /** Offset in the decoded bytes of the first byte not yet consumed. */
  readonly offset: number;
  /** Records before the offset. */
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
  /** The first name that stands twice in one object of the record, below the names around it (`a.0.b`), or null. */
  readonly duplicate: string | null;
};

/** A record before it is parsed: bytes of valid UTF-8, from its brace to behind the closing one, and its tokens. */
export type RawRecord = {
  bytes: Uint8Array;
  from: number;
  to: number;
  number: number;
  /** See `Tape`. */
  tokens: Int32Array;
  /** Where it begins among them. */
  token: number;
};

/** Is offered every record first; true where that was all it needs, and the record need not be parsed. */
export type TakeRecord = (record: RawRecord) => boolean;

/** Some records in the order of the fragment, and where reading goes on behind them. */
export type RecordGroup = {
  /** Without those that were taken before they were parsed. */
  readonly records: readonly SourceRecord[];
  /** All of them. */
  readonly count: number;
  readonly next: ReadPosition;
  /** Bytes of the decoded fragment that this group took. */
  readonly bytes: number;
  /** The text of one of this group's records as it was written. */
  readonly rawText: (record: SourceRecord) => string;
};
