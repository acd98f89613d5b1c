import { type Expects, openTape, type Tape, tokenize } from "./tokenize.ts";

/** The first thing wrong with some bytes that should be one JSON value. `index` is relative to them. */
export type SyntaxFault = {
  readonly kind: "syntax" | "deep" | "incomplete";
  readonly index: number;
  /** What was found and expected; never the bytes themselves. */
  readonly text: string;
};

/** A value on a tape of its own. Bytes behind it are no fault here. */
export function tokenized(value: Uint8Array, maxDepth: number): { readonly tape: Tape; readonly bytes: Buffer } {
  const bytes = Buffer.concat([value, Buffer.from([0])]);
  const tape = openTape(maxDepth);
  tokenize(tape, { bytes, from: 0, end: value.length, origin: 0 });
  return { tape, bytes };
}

/**
 * Explains why some bytes are no JSON: V8's own message quotes them, and names no place where the text is short. With
 * `prefix` the value may be followed by anything. Null: nothing wrong.
 */
export function findSyntaxFault(bytes: Uint8Array, maxDepth: number, prefix = false): SyntaxFault | null {
  const { tape } = tokenized(bytes, maxDepth);
  const { outcome, expects, at } = tape;
  if (outcome === "more") return { kind: "incomplete", index: bytes.length, text: "the data ends in the middle" };
  if (outcome === "deep") return { kind: "deep", index: at, text: "" };
  const isBehindValue = outcome === "closed" || expects === "separator";
  if (isBehindValue && isScalarByte(bytes[at]) && isScalarByte(bytes[at - 1])) return runOn(bytes, at);
  if (outcome === "wrong") return wrong(bytes, at, expectationOf(tape));
  let i = at;
  while (isSpace(bytes[i])) i++;
  return prefix || i >= bytes.length ? null : wrong(bytes, i, "expected nothing more");
}

/** Behind a number, or a word that is none of JSON's, stands what could be a part of it. */
function runOn(bytes: Uint8Array, at: number): SyntaxFault {
  let start = at;
  while (isScalarByte(bytes[start - 1])) start--;
  return isLetter(bytes[start] as number)
    ? wrong(bytes, start, expectations.value)
    : wrong(bytes, at, "expected the end of the number");
}

function wrong(bytes: Uint8Array, index: number, expectation: string): SyntaxFault {
  return { kind: "syntax", index, text: `${expectation} but got ${nameOf(bytes[index])}` };
}

const expectations: Readonly<Record<Exclude<Expects, "separator">, string>> = {
  value: "expected a JSON value",
  key: "expected a key in double quotes",
  colon: 'expected ":"',
  character: "control characters in a string must be escaped,",
  escape: "expected a JSON escape after the backslash",
  "hex digit": "expected four hex digits after \\u",
};

function expectationOf({ expects, closing }: Tape): string {
  return expects === "separator" ? `expected "," or "${String.fromCharCode(closing)}"` : expectations[expects];
}

function nameOf(byte: number | undefined): string {
  if (byte === undefined) return "the end";
  if (byte < 0x20 || byte === 0x7f) return `control character 0x${byte.toString(16).padStart(2, "0")}`;
  if (byte >= 0x80)
    return byte === 0xef ? "a byte order mark or another character beyond ASCII" : "a character beyond ASCII";
  if (isDigit(byte)) return "a digit";
  return isLetter(byte) ? "a letter" : JSON.stringify(String.fromCharCode(byte));
}

/** What numbers and words are made of. */
function isScalarByte(byte = 0): boolean {
  return isLetter(byte) || isDigit(byte) || byte === 0x2b || byte === 0x2d || byte === 0x2e;
}

function isLetter(byte: number): boolean {
  return (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
