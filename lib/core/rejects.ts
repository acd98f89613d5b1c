/** Rejects, and how names and values of records are shown in them. */

/** Reasons to reject a record. Each code has one cause and one remedy. */
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

/** A record that cannot be loaded, and why. `got` and `raw` hold values: they go to error_log.json, never to a log. */
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
  /** The record's text as it was read; null if it is not at hand. */
  readonly raw: string | null;
};

/** What a converter says of a value that it cannot convert; the transform adds record and field. */
export class ValueReject {
  readonly code: RejectCode;
  readonly expected: string;

  constructor(code: RejectCode, expected: string) {
    this.code = code;
    this.expected = expected;
  }
}

/** Most rejects of a batch that are stored and listed; all of them are counted. */
export const maxStoredRejects = 1_000;
const maxShownCharacters = 200;
const maxRawCharacters = 100_000;

/** A value as an error log shows it: escaped, and cut if it is long. */
export function showValue(text: string): string {
  const shown = JSON.stringify(text.slice(0, maxShownCharacters)) ?? "";
  return text.length > maxShownCharacters ? `${shown}... (${text.length} characters)` : shown;
}

/** A name from a record as it is, or shown as a value if it is too long or no database text (NUL, lone surrogate). */
export function showName(name: string): string {
  const plain = name.length <= maxShownCharacters && name.isWellFormed() && !name.includes("\u0000");
  return plain ? name : showValue(name);
}

/** A record's text as it is kept with its reject: at most 100,000 characters, and never half a one at the end. */
export function cutRaw(text: string): string {
  return text.length > maxRawCharacters ? text.slice(0, maxRawCharacters).toWellFormed() : text;
}

/** Control characters, line ends of all kinds, and characters that turn the direction of writing. */
const steering = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text from outside, made safe for a message or terminal: one line, with control characters escaped. */
export function escapeText(text: string): string {
  const escapeCode = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return text.replaceAll(steering, (character) => named[character] ?? escapeCode(character));
}

/** The escaped text, cut to at most `width` characters. */
export function clipText(text: string, width: number): string {
  const safe = escapeText(text);
  return safe.length > width ? `${safe.slice(0, width - 3)}...` : safe;
}
