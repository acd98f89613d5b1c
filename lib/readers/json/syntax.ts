import { type Expects, isDigit, openTape, type Tape, tokenize } from "./tokenize.ts";

/** The first fault in bytes that should be one JSON value. `index` counts from their start. */
export type SyntaxFault = {
  readonly kind: "syntax" | "deep" | "incomplete";
  readonly index: number;
  /** What was expected and found; never shows the bytes. */
  readonly text: string;
};

/** Tokenizes the first value of some bytes on a tape of its own. The `bytes` it returns have a 0 behind them. */
export function tokenized(value: Uint8Array, maxDepth: number): { readonly tape: Tape; readonly bytes: Buffer } {
  const bytes = Buffer.concat([value, Buffer.from([0])]);
  const tape = openTape(maxDepth);
  tokenize(tape, { bytes, from: 0, end: value.length, origin: 0 });
  return { tape, bytes };
}

/**
 * Finds why bytes are not JSON, or null if they are. V8's own message would quote values, and names no place in a short
 * text. With `prefix` anything may follow the value.
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

/** A number or word goes on with characters that JSON does not allow in it, such as `1a` or `truex`. */
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

/** Whether a number or a word may contain this byte. */
function isScalarByte(byte = 0): boolean {
  return isLetter(byte) || isDigit(byte) || byte === 0x2b || byte === 0x2d || byte === 0x2e;
}

function isLetter(byte: number): boolean {
  return (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
}

export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
