import {
  arrayToken,
  booleanToken,
  endToken,
  escapedToken,
  exponentToken,
  nameToken,
  nullToken,
  numberToken,
  objectToken,
  stringToken,
  tokenSize,
  unicodeToken,
} from "../../core/json-tokens.ts";

/** The tokens of some values, one after another, and what `tokenize` found in the last of them. */
export type Tape = {
  /** See `json-tokens`. */
  tokens: Int32Array;
  /** Number of integers of `tokens` in use. */
  length: number;
  /** Commas and containers of the last value: about as many as it holds values. */
  values: number;
  /** Number of line ends inside the last value, and the index behind the last of them. */
  lines: number;
  lineStart: number;
  /** The index behind the last value; or that of the wrong byte, and what was expected there. */
  at: number;
  expects: Expects;
  outcome: Outcome;
  /** The bracket that closes the innermost container, and those of all that are open. */
  closing: number;
  readonly open: Uint8Array;
  /** State while tokenizing: the source, the depth, the kind of the last token. */
  bytes: Uint8Array;
  end: number;
  origin: number;
  depth: number;
  kind: number;
};

export type Expects = "value" | "key" | "colon" | "separator" | "character" | "escape" | "hex digit";

/** The value is complete; the bytes end inside it; it nests too deep; it is not JSON. */
type Outcome = "closed" | "more" | "deep" | "wrong";

const initialIntegers = 4096;

/** @param maxDepth most containers of a value that may be open at once */
export function openTape(maxDepth: number): Tape {
  const walk = {
    length: 0,
    values: 0,
    depth: 0,
    at: 0,
    lines: 0,
    lineStart: 0,
    end: 0,
    origin: 0,
    kind: 0,
    closing: 0,
  };
  const open = new Uint8Array(maxDepth + 1);
  return { tokens: new Int32Array(initialIntegers), open, expects: "value", outcome: "more", bytes: open, ...walk };
}

function tableOf(classes: Readonly<Record<string, number>>): Uint8Array {
  const table = new Uint8Array(256);
  for (const [characters, value] of Object.entries(classes)) {
    for (const character of characters) table[character.charCodeAt(0)] = value;
  }
  return table;
}

const string = 1;
const number = 2;
const word = 3;
const container = 4;
const firsts = tableOf({ '"': string, "-0123456789": number, tfn: word, "{[": container });
const quote = 0x22;
const backslash = 0x5c;
/** 1 for the bytes that a string may hold without an escape. */
const ordinary = new Uint8Array(256).fill(1, 0x20);
ordinary[quote] = ordinary[backslash] = 0;
const shortEscapes = tableOf({ '"\\/bfnrt': 1, u: 2 });
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const closeBracket = 0x5d;

type Source = {
  /** `bytes[end]` must be 0: that stops every loop, so none has to compare its index with `end`. */
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly end: number;
  /** The index from which the starts and ends of tokens are counted. */
  readonly origin: number;
};

/**
 * Appends the tokens of the value at `from`, read strictly (RFC 8259); passes white space before it. Keeps no token of
 * a value that is not "closed": after "more" it has to be read again with more bytes. A number that is the whole value
 * may end with the bytes.
 */
export function tokenize(tape: Tape, { bytes, from, end, origin }: Source): Outcome {
  const before = tape.length;
  begin(tape);
  tape.bytes = bytes;
  tape.end = end;
  tape.origin = origin;
  let i = passSpace(tape, from);
  while (i >= 0) {
    // room for a name, a value, and the ends of all open containers
    const room = tape.length + (tape.depth + 3) * tokenSize;
    if (room > tape.tokens.length) makeRoom(tape, room);
    if (tape.closing === closeBrace) i = passName(tape, i);
    if (i >= 0) i = passValue(tape, i);
    if (i >= 0) i = passSigns(tape, i);
  }
  tape.at = ~i;
  if (tape.outcome === "wrong" && tape.at >= end) tape.outcome = "more";
  if (tape.outcome !== "closed") tape.length = before;
  return tape.outcome;
}

function begin(tape: Tape): void {
  tape.values = tape.depth = tape.lines = tape.closing = 0;
  tape.outcome = "wrong";
}

function makeRoom(tape: Tape, integers: number): void {
  const larger = new Int32Array(integers * 2);
  larger.set(tape.tokens);
  tape.tokens = larger;
}

// The functions below return the index behind what they passed, or the complement (~) of the index where they stopped.

function stop(tape: Tape, outcome: Outcome, at: number): number {
  tape.outcome = outcome;
  return ~at;
}

function wrong(tape: Tape, expects: Expects, at: number): number {
  tape.expects = expects;
  return ~at;
}

/** Appends a token of the kind in `tape.kind`. */
function append(tape: Tape, start: number, end: number): number {
  const { tokens, length, origin } = tape;
  tokens[length] = tape.kind;
  tokens[length + 1] = start - origin;
  tokens[length + 2] = end - origin;
  tape.length = length + tokenSize;
  return end;
}

/** Passes a name, its colon and the white space around it. */
function passName(tape: Tape, from: number): number {
  const { bytes } = tape;
  if (bytes[from] !== quote) return wrong(tape, "key", from);
  const end = passString(tape, from + 1);
  if (end < 0) return end;
  tape.kind += nameToken;
  const i = passSpace(tape, append(tape, from + 1, end) + 1);
  return bytes[i] === colon ? passSpace(tape, i + 1) : wrong(tape, "colon", i);
}

/** Passes a scalar, or the bracket that opens a container. */
function passValue(tape: Tape, from: number): number {
  const first = firsts[tape.bytes[from] as number];
  if (first === string) {
    const end = passString(tape, from + 1);
    return end < 0 ? end : append(tape, from + 1, end) + 1;
  }
  if (first === container) return openContainer(tape, from);
  if (first !== number && first !== word) return wrong(tape, "value", from);
  const end = first === number ? passNumber(tape, from) : passWord(tape, from);
  return end < 0 ? end : append(tape, from, end);
}

function openContainer(tape: Tape, at: number): number {
  if (tape.depth + 1 >= tape.open.length) return stop(tape, "deep", at);
  const isObject = tape.bytes[at] === openBrace;
  tape.values++;
  tape.closing = isObject ? closeBrace : closeBracket;
  tape.open[++tape.depth] = tape.closing;
  tape.kind = isObject ? objectToken : arrayToken;
  return append(tape, at, at + 1);
}

/** Passes commas, closing brackets and white space up to the next value or name. */
function passSigns(tape: Tape, from: number): number {
  const { bytes } = tape;
  if (tape.depth === 0) return stop(tape, "closed", from);
  let i = passSpace(tape, from);
  if (tape.kind >= objectToken && bytes[i] !== tape.closing) return i;
  for (; bytes[i] !== comma; i = passSpace(tape, i)) {
    if (bytes[i] !== tape.closing) return wrong(tape, "separator", i);
    tape.kind = endToken;
    i = append(tape, i, i + 1);
    tape.closing = tape.open[--tape.depth] as number;
    if (tape.depth === 0) return stop(tape, "closed", i);
  }
  tape.values++;
  return passSpace(tape, i + 1);
}

function passSpace(tape: Tape, from: number): number {
  return (tape.bytes[from] as number) > 0x20 ? from : passMoreSpace(tape, from);
}

function passMoreSpace(tape: Tape, from: number): number {
  const { bytes } = tape;
  let i = from;
  for (let byte = bytes[i]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = bytes[i]) {
    i++;
    if (byte !== 0x0a) continue;
    tape.lines++;
    tape.lineStart = i;
  }
  return i;
}

/** The index of the quote that ends a string. */
function passString(tape: Tape, from: number): number {
  const { bytes } = tape;
  let i = from;
  while (ordinary[bytes[i] as number] === 1) i++;
  tape.kind = stringToken;
  return bytes[i] === quote ? i : passEscapes(tape, i);
}

function passEscapes(tape: Tape, from: number): number {
  const { bytes } = tape;
  let i = from;
  let kind: number = escapedToken;
  for (let byte = bytes[i] as number; byte !== quote; byte = bytes[++i] as number) {
    if (byte < 0x20) return wrong(tape, "character", i);
    if (byte !== backslash) continue;
    const length = shortEscapes[bytes[++i] as number];
    if (length === 0) return wrong(tape, "escape", i);
    if (length === 1) continue;
    kind = unicodeToken;
    for (let n = 0; n < 4; n++) if (!isHexDigit(bytes[++i] as number)) return wrong(tape, "hex digit", i);
  }
  tape.kind = kind;
  return i;
}

function isHexDigit(byte: number): boolean {
  return isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** An incomplete number is reported where it could have ended: at its point, or at the letter of its exponent. */
function passNumber(tape: Tape, from: number): number {
  const { bytes, end } = tape;
  const first = bytes[from] === 0x2d ? from + 1 : from;
  let i = bytes[first] === 0x30 ? first + 1 : passDigits(bytes, first);
  let broken = -1;
  tape.kind = numberToken;
  if (i === first) return wrong(tape, "value", i === end ? end : from);
  if (bytes[i] === 0x2e) {
    const point = i;
    i = passDigits(bytes, point + 1);
    if (i === point + 1) broken = point;
  }
  if (((bytes[i] as number) | 0x20) === 0x65) {
    tape.kind = exponentToken;
    const letter = i;
    const sign = bytes[letter + 1];
    const digits = sign === 0x2b || sign === 0x2d ? letter + 2 : letter + 1;
    i = passDigits(bytes, digits);
    if (i === digits && broken < 0) broken = letter;
  }
  return broken < 0 ? i : wrong(tape, "separator", i === end ? end : broken);
}

function passDigits(bytes: Uint8Array, from: number): number {
  let i = from;
  while (isDigit(bytes[i] as number)) i++;
  return i;
}

const wordTrue = Buffer.from("true");
const wordFalse = Buffer.from("false");
const wordNull = Buffer.from("null");

function passWord(tape: Tape, from: number): number {
  const { bytes, end } = tape;
  const first = bytes[from];
  const text = first === 0x74 ? wordTrue : first === 0x66 ? wordFalse : wordNull;
  tape.kind = text === wordNull ? nullToken : booleanToken;
  for (let i = 1; i < text.length; i++) {
    if (bytes[from + i] !== text[i]) return wrong(tape, "value", from + i === end ? end : from);
  }
  return from + text.length;
}
