/** What can be wrong with one record. One code is one cause and one thing to do. */
export type RejectCode =
  | "VALUE_TYPE"
  | "VALUE_RANGE"
  | "VALUE_PRECISION_LOSS"
  | "VALUE_TOO_LONG"
  | "VALUE_ENCODING"
  | "VALUE_ENUM"
  | "VALUE_NOT_NULL"
  | "VALUE_AMBIGUOUS"
  | "COLUMN_UNKNOWN"
  | "COLUMN_AMBIGUOUS"
  | "COLUMN_READONLY"
  | "KEY_NULL"
  | "KEY_DUPLICATE"
  | "KEY_NOT_UNIQUE"
  | "CONSTRAINT_CHECK"
  | "CONSTRAINT_FK"
  | "CONSTRAINT_UNIQUE"
  | "CONSTRAINT_PARTITION"
  | "CONSTRAINT_EXCLUSION"
  | "CONSTRAINT_TRIGGER"
  | "DB_LIMIT";

/** One record that cannot be loaded, and why. `got` and `raw` hold values: they go to error_log.json, never to a log. */
export type Reject = {
  readonly table: string;
  readonly key: string;
  /** 1 for the first record of the fragment. */
  readonly record: number;
  readonly field: string | null;
  readonly code: RejectCode;
  readonly expected: string;
  readonly got: string | null;
  readonly constraint: string | null;
  /** The record's text as it was read, where it is at hand. */
  readonly raw: string | null;
};

/** A value refused by a converter: the transform adds record and field. */
export class Refusal {
  readonly code: RejectCode;
  readonly expected: string;

  constructor(code: RejectCode, expected: string) {
    this.code = code;
    this.expected = expected;
  }
}

/** At most this many rejects of a batch are stored and listed; all of them are counted. */
export const maxStoredRejects = 1_000;
const maxShownCharacters = 200;
const maxRawCharacters = 100_000;

/** A value as it is shown in an error log: escaped, and cut where it is long. */
export function showValue(text: string): string {
  const shown = JSON.stringify(text.slice(0, maxShownCharacters)) ?? "";
  return text.length > maxShownCharacters ? `${shown}... (${text.length} characters)` : shown;
}

/** A name that a record brought: as it is, unless it is too long or no database text (NUL, a lone surrogate). */
export function showName(name: string): string {
  const plain = name.length <= maxShownCharacters && name.isWellFormed() && !name.includes("\u0000");
  return plain ? name : showValue(name);
}

/** A record's text as it is kept with its reject; the cut never leaves half a character. */
export function cutRaw(text: string): string {
  return text.length > maxRawCharacters ? text.slice(0, maxRawCharacters).toWellFormed() : text;
}

/** Control characters, line ends of all kinds, and what turns the direction of writing. */
const steering = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text from outside as it may stand in a message or on a terminal: one line, and nothing in it that steers. */
export function escapeText(text: string): string {
  return text.replaceAll(steering, (character) => named[character] ?? escapeCode(character));
}

function escapeCode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The same, at most `width` characters of it. */
export function clipText(text: string, width: number): string {
  const safe = escapeText(text);
  return safe.length > width ? `${safe.slice(0, width - 3)}...` : safe;
}
