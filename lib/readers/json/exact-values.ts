import { ExactNumber, type JsonObject, type JsonValue } from "../../core/json.ts";
import {
  arrayToken,
  booleanToken,
  endToken,
  exponentToken,
  nameToken,
  nullToken,
  numberToken,
  objectToken,
  stringToken,
  tokenSize,
} from "../../core/json-tokens.ts";

/** Tokens, and the bytes that they point into. */
export type Taped = { readonly tokens: Int32Array; readonly bytes: Buffer };

export type ExactValue = {
  readonly value: JsonValue;
  /** Path of the first name that stands twice in an object, such as `a.0.b`; null if there is none. */
  readonly duplicate: string | null;
};

export type TokenSummary = {
  /** `JSON.parse` would lose something: the digits of a number, or a name that is written with an escape. */
  readonly needsExactRead: boolean;
  /** Members of all objects as they are written: a name that stands twice counts twice. */
  readonly members: number;
};

export function summarize(taped: Taped, from: number, to: number): TokenSummary {
  const { tokens } = taped;
  let needsExactRead = false;
  let members = 0;
  for (let at = from; at < to; at += tokenSize) {
    const kind = tokens[at] as number;
    if (kind > nameToken) {
      members++;
      if (kind !== nameToken + stringToken) needsExactRead = true;
    } else if ((kind === numberToken || kind === exponentToken) && !needsExactRead) {
      needsExactRead = needsText(taped, at);
    }
  }
  return { needsExactRead, members };
}

const zero = 0x30;
const minus = 0x2d;
const dot = 0x2e;
/** A decimal of so many digits survives a double. */
const doubleDigits = 15;
/** JavaScript shows no double as a longer text. */
const maxShownNumber = 25;

/**
 * Whether `String(Number(token))` differs from the token. A decimal of up to 15 digits comes back from a double
 * unchanged unless it ends in 0, is below 1e-6 (shown with an exponent) or is -0, so only other texts are converted.
 */
function needsText({ tokens, bytes }: Taped, at: number): boolean {
  const from = tokens[at + 1] as number;
  const to = tokens[at + 2] as number;
  if (tokens[at] === numberToken && to - from <= doubleDigits && bytes[from] !== minus && bytes[from] !== zero) {
    if (bytes[to - 1] !== zero) return false;
    let i = from;
    while (i < to && bytes[i] !== dot) i++;
    return i < to;
  }
  return to - from > maxShownNumber || numberOf(textAt(bytes, from, to)) === null;
}

/** The number of a text; null if JavaScript would show it in another way. */
function numberOf(text: string): number | null {
  if (text.length > maxShownNumber) return null;
  const number = Number(text);
  return String(number) === text ? number : null;
}

function textAt(bytes: Buffer, from: number, to: number): string {
  return bytes.toString("latin1", from, to);
}

type Walk = Taped & { at: number; readonly path: (string | number)[]; duplicate: string | null };

/**
 * The value that begins at a token, built without `JSON.parse`: it keeps the digits of numbers, finds names that stand
 * twice, and reads names with escapes correctly. V8 (13.6, 14.6) may mistake such a name for one with a backslash in it
 * that earlier objects had in the same place (nodejs/node#63785).
 */
export function readExactly({ tokens, bytes }: Taped, from: number): ExactValue {
  const walk: Walk = { tokens, bytes, at: from, path: [], duplicate: null };
  const value = readValue(walk);
  return { value, duplicate: walk.duplicate };
}

function readValue(walk: Walk): JsonValue {
  const { bytes, tokens, at } = walk;
  const kind = tokens[at];
  walk.at += tokenSize;
  if (kind === objectToken) return readObject(walk);
  if (kind === arrayToken) return readArray(walk);
  if (kind === nullToken) return null;
  if (kind === booleanToken) return bytes[tokens[at + 1] as number] === 0x74;
  return kind === numberToken || kind === exponentToken
    ? readNumber(walk, at)
    : readString(walk, at, kind === stringToken);
}

function readObject(walk: Walk): JsonObject {
  const { tokens, path } = walk;
  const value: JsonObject = {};
  const depth = path.push("") - 1;
  while (tokens[walk.at] !== endToken) {
    const name = readString(walk, walk.at, tokens[walk.at] === nameToken + stringToken);
    walk.at += tokenSize;
    path[depth] = name;
    if (Object.hasOwn(value, name)) walk.duplicate ??= path.join(".");
    const member = readValue(walk);
    if (name === "__proto__") define(value, member);
    else value[name] = member;
  }
  return close(walk, value);
}

function readArray(walk: Walk): JsonValue[] {
  const values: JsonValue[] = [];
  const depth = walk.path.push(0) - 1;
  while (walk.tokens[walk.at] !== endToken) {
    walk.path[depth] = values.length;
    values.push(readValue(walk));
  }
  return close(walk, values);
}

function close<T>(walk: Walk, value: T): T {
  walk.path.pop();
  walk.at += tokenSize;
  return value;
}

/** An assignment to `__proto__` would set the prototype. */
function define(object: JsonObject, value: JsonValue): void {
  Object.defineProperty(object, "__proto__", { value, configurable: true, enumerable: true, writable: true });
}

function readString({ bytes, tokens }: Taped, at: number, isPlain: boolean): string {
  const start = tokens[at + 1] as number;
  const end = tokens[at + 2] as number;
  return isPlain
    ? bytes.toString("utf8", start, end)
    : (JSON.parse(bytes.toString("utf8", start - 1, end + 1)) as string);
}

function readNumber({ bytes, tokens }: Taped, at: number): JsonValue {
  const text = textAt(bytes, tokens[at + 1] as number, tokens[at + 2] as number);
  return numberOf(text) ?? new ExactNumber(text);
}
