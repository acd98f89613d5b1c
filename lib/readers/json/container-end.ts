import { type Cursor, depthFault, needMore, refuseLarge, type Span } from "./cursor.ts";

const quote = 0x22;

/**
 * Passes the container that begins at the cursor (depth 0), or the rest of one that is open (depth 1), across windows.
 * Only counts brackets outside of strings: whether the bytes are JSON is checked when all of them are at hand.
 */
export async function passContainer(cursor: Cursor, span: Span): Promise<void> {
  let outcome = scanOn(cursor);
  while (outcome === "more") {
    await needMore(cursor, span);
    outcome = scanOn(cursor);
  }
  if (outcome === "deep") throw depthFault(cursor);
  refuseLarge(cursor, span);
}

type ScanOutcome = "closed" | "more" | "deep";

/** Moves on to the end of the container, or to the end of the window. */
function scanOn(cursor: Cursor): ScanOutcome {
  const { bytes, base, end } = cursor.window;
  if (cursor.inString && !scanString(cursor)) return "more";
  let outcome: ScanOutcome = "more";
  let i = cursor.offset - base;
  while (i < end && outcome === "more") {
    const byte = bytes[i] as number;
    if (byte === quote) {
      i = passString(bytes, i + 1, end);
      if (i < 0) break;
    } else {
      outcome = passSign(cursor, byte, ++i);
    }
  }
  cursor.inString = i < 0;
  cursor.offset = base + (i < 0 ? ~i : i);
  return outcome;
}

function passSign(cursor: Cursor, sign: number, behind: number): ScanOutcome {
  if (sign === 0x2c) {
    cursor.values++;
  } else if (sign === 0x7b || sign === 0x5b) {
    cursor.values++;
    if (++cursor.depth > cursor.limits.maxDepth) return "deep";
  } else if (sign === 0x7d || sign === 0x5d) {
    if (--cursor.depth === 0) return "closed";
  } else if (sign === 0x0a) {
    cursor.line++;
    cursor.lineStart = cursor.window.base + behind;
  }
  return "more";
}

/** Moves on in an open string; true if it closes within the window. */
export function scanString(cursor: Cursor): boolean {
  const { bytes, base, end } = cursor.window;
  const i = passString(bytes, cursor.offset - base, end);
  cursor.inString = i < 0;
  cursor.offset = base + (i < 0 ? ~i : i);
  return i >= 0;
}

/** The index behind the closing quote, or the complement of where to go on: `end + 1` after a last backslash. */
function passString(bytes: Uint8Array, from: number, end: number): number {
  let i = from;
  while (i < end) {
    const byte = bytes[i];
    if (byte === quote) return i + 1;
    i += byte === 0x5c ? 2 : 1;
  }
  return ~i;
}
