import type { ByteWindow } from "../bytes.ts";

/** Where the scanner stands. Between two calls the window may have moved: the offset is the fragment's. */
export type Scan = {
  offset: number;
  /** Containers that are open, counted from where the scan began. */
  depth: number;
  inString: boolean;
  /** Members of objects that were passed, by their colons. Whoever begins to count sets it to 0, as the next one. */
  members: number;
  /** Commas and containers that were passed: about as many as values. */
  values: number;
  /** Where numbers were passed whose text `JSON.parse` would not give back: start, end, start, end, ... */
  exact: number[];
  /** The line of `offset`, and where it begins. */
  line: number;
  lineStart: number;
};

export type ScanOutcome = "closed" | "more" | "deep";

const quote = 1;
const digit = 2;
const open = 3;
const close = 4;
const colon = 5;
const comma = 6;
const lineEnd = 7;

function tableOf(classes: Readonly<Record<string, number>>): Uint8Array {
  const table = new Uint8Array(256);
  for (const [characters, value] of Object.entries(classes)) {
    for (const character of characters) table[character.charCodeAt(0)] = value;
  }
  return table;
}

const signs = { '"': quote, "{[": open, "}]": close, ":": colon, ",": comma };
const kinds = tableOf({ ...signs, "-0123456789": digit, "\n": lineEnd });

/**
 * Passes bytes until the container closes that was opened at depth 0. It only finds the boundary: whether the bytes
 * are JSON is for `JSON.parse` to say. "more" where the window ends first, "deep" beyond `maxDepth`.
 */
export function scanContainer(scan: Scan, window: ByteWindow, maxDepth: number): ScanOutcome {
  const { bytes, base, end } = window;
  let { members, values } = scan;
  let outcome: ScanOutcome = "more";
  if (scan.inString && !scanString(scan, window)) return "more";
  let i = scan.offset - base;
  while (i < end && outcome === "more") {
    const kind = kinds[bytes[i] as number];
    if (kind === quote) {
      i = passString(bytes, i + 1, end);
      if (i < 0) break;
    } else if (kind === digit) {
      const stop = passNumber(bytes, i, end);
      if (stop === end && stop - i < maxHeldNumber) break;
      if (needsText(bytes, i, stop)) scan.exact.push(base + i, base + stop);
      i = stop;
    } else {
      i++;
      if (kind === comma) {
        values++;
      } else if (kind === colon) {
        members++;
      } else if (kind === open) {
        values++;
        if (++scan.depth > maxDepth) outcome = "deep";
      } else if (kind === close) {
        if (--scan.depth === 0) outcome = "closed";
      } else if (kind === lineEnd) {
        scan.line++;
        scan.lineStart = base + i;
      }
    }
  }
  scan.inString = i < 0;
  scan.offset = base + (i < 0 ? ~i : i);
  scan.members = members;
  scan.values = values;
  return outcome;
}

/** Goes on in a string that is open; true where it closes. */
export function scanString(scan: Scan, window: ByteWindow): boolean {
  const i = passString(window.bytes, scan.offset - window.base, window.end);
  scan.inString = i < 0;
  scan.offset = window.base + (i < 0 ? ~i : i);
  return i >= 0;
}

/** The index behind the closing quote, or the complement of where to go on: behind `end` if its last byte escapes. */
function passString(bytes: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end) {
    const byte = bytes[i];
    if (byte === 0x22) return i + 1;
    i += byte === 0x5c ? 2 : 1;
  }
  return ~i;
}

const dot = 2;
const exponent = 4;
const numberKinds = tableOf({ "0123456789": 1, ".": dot, "eE+-": exponent });

/** A number at the edge of the window is scanned again when more is there; no double is written this long. */
export const maxHeldNumber = 64;

function passNumber(bytes: Uint8Array, from: number, end: number): number {
  let i = from + 1;
  while (i < end && numberKinds[bytes[i] as number] !== 0) i++;
  return i;
}

/**
 * Whether `String(Number(token))` differs from the token. A decimal of up to 15 digits comes back from a double
 * unchanged unless it ends in 0, is below 1e-6 (shown with an exponent) or is -0: only the rest has to be tried.
 */
function needsText(bytes: Buffer, from: number, stop: number): boolean {
  const start = bytes[from] === 0x2d ? from + 1 : from;
  let seen = 0;
  for (let i = start; i < stop; i++) seen |= numberKinds[bytes[i] as number] as number;
  if ((seen & exponent) === 0) {
    if ((seen & dot) !== 0 && bytes[stop - 1] === 0x30) return true;
    if ((seen & dot) === 0 && start !== from && bytes[start] === 0x30) return true;
    if (stop - from < 16 && !((seen & dot) !== 0 && isTiny(bytes, start))) return false;
  }
  if (stop - from > maxHeldNumber) return true;
  const token = bytes.toString("latin1", from, stop);
  return String(Number(token)) !== token;
}

/** 0.000... : perhaps below 1e-6. */
function isTiny(bytes: Uint8Array, start: number): boolean {
  return bytes[start] === 0x30 && bytes[start + 2] === 0x30 && bytes[start + 3] === 0x30 && bytes[start + 4] === 0x30;
}
