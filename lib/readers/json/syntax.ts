/** The first thing wrong with some bytes that should be one JSON value. `index` is relative to them. */
export type SyntaxFault = {
  readonly kind: "syntax" | "deep" | "incomplete";
  readonly index: number;
  /** What was found and expected; never the bytes themselves. */
  readonly text: string;
};

type Expects = "value" | "first element" | "key" | "first key" | "colon" | "separator" | "end";
type Walk = {
  readonly bytes: Uint8Array;
  readonly open: number[];
  readonly maxDepth: number;
  index: number;
  expects: Expects;
};

/**
 * Explains why `JSON.parse` refused some bytes: V8's own message quotes them, and names no place where the text is
 * short. Strict RFC 8259, without recursion. With `prefix` the value may be followed by anything. Null: nothing wrong.
 */
export function findSyntaxFault(bytes: Uint8Array, maxDepth: number, prefix = false): SyntaxFault | null {
  const walk: Walk = { bytes, open: [], maxDepth, index: 0, expects: "value" };
  for (;;) {
    skipSpace(walk);
    if (walk.expects === "end" && (prefix || walk.index >= bytes.length)) return null;
    if (walk.index >= bytes.length) return incomplete(walk);
    const fault = step(walk, bytes[walk.index] as number);
    if (fault !== null) return fault;
  }
}

function step(walk: Walk, byte: number): SyntaxFault | null {
  switch (walk.expects) {
    case "first element":
      return byte === 0x5d ? close(walk) : value(walk, byte);
    case "value":
      return value(walk, byte);
    case "first key":
      return byte === 0x7d ? close(walk) : key(walk, byte);
    case "key":
      return key(walk, byte);
    case "colon":
      return byte === 0x3a ? go(walk, "value") : wrong(walk, 'expected ":"');
    case "separator":
      return separator(walk, byte);
    case "end":
      return wrong(walk, "expected nothing more");
  }
}

function value(walk: Walk, byte: number): SyntaxFault | null {
  if (byte === 0x7b || byte === 0x5b) {
    if (walk.open.length >= walk.maxDepth) return { kind: "deep", index: walk.index, text: "" };
    walk.open.push(byte === 0x7b ? 0x7d : 0x5d);
    return go(walk, byte === 0x7b ? "first key" : "first element");
  }
  const fault = byte === 0x22 ? string(walk) : scalar(walk);
  if (fault === null) afterValue(walk);
  return fault;
}

function key(walk: Walk, byte: number): SyntaxFault | null {
  if (byte !== 0x22) return wrong(walk, "expected a key in double quotes");
  const fault = string(walk);
  walk.expects = "colon";
  return fault;
}

function separator(walk: Walk, byte: number): SyntaxFault | null {
  const closing = walk.open.at(-1) as number;
  if (byte === closing) return close(walk);
  const inObject = closing === 0x7d;
  if (byte === 0x2c) return go(walk, inObject ? "key" : "value");
  return wrong(walk, `expected "," or "${String.fromCharCode(closing)}"`);
}

function close(walk: Walk): null {
  walk.index++;
  walk.open.pop();
  return afterValue(walk);
}

function afterValue(walk: Walk): null {
  walk.expects = walk.open.length === 0 ? "end" : "separator";
  return null;
}

function go(walk: Walk, expects: Expects): null {
  walk.index++;
  walk.expects = expects;
  return null;
}

const escapable = new Set(Buffer.from('"\\/bfnrtu'));

function string(walk: Walk): SyntaxFault | null {
  const { bytes } = walk;
  for (walk.index++; walk.index < bytes.length; walk.index++) {
    const byte = bytes[walk.index] as number;
    if (byte === 0x22) {
      walk.index++;
      return null;
    }
    if (byte < 0x20) return wrong(walk, "control characters in a string must be escaped,");
    if (byte !== 0x5c) continue;
    const escaped = bytes[++walk.index];
    if (escaped === undefined) break;
    if (!escapable.has(escaped)) return wrong(walk, "expected a JSON escape after the backslash");
    if (escaped !== 0x75) continue;
    const fault = hexDigits(walk);
    if (fault !== null) return fault;
  }
  return incomplete(walk);
}

function hexDigits(walk: Walk): SyntaxFault | null {
  for (let n = 0; n < 4; n++) {
    const byte = walk.bytes[++walk.index];
    if (byte === undefined) return incomplete(walk);
    if (!/[0-9a-fA-F]/.test(String.fromCharCode(byte))) return wrong(walk, "expected four hex digits after \\u");
  }
  return null;
}

const numberText = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/;
/** What a number may still become at the end of the bytes. */
const numberStart = /^-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?)?$/;
const literals = ["true", "false", "null"];

function scalar(walk: Walk): SyntaxFault | null {
  const start = walk.index;
  let stop = start;
  while (stop < walk.bytes.length && isScalarByte(walk.bytes[stop] as number)) stop++;
  const token = Buffer.from(walk.bytes.subarray(start, stop)).toString("latin1");
  const length = literals.includes(token) ? token.length : (numberText.exec(token)?.[0].length ?? 0);
  walk.index = start + length;
  if (length > 0 && length === token.length) return null;
  const cut = stop === walk.bytes.length && token !== "";
  if (cut && (numberStart.test(token) || literals.some((literal) => literal.startsWith(token))))
    return incomplete(walk);
  if (length > 0) return wrong(walk, "expected the end of the number");
  return wrong(walk, "expected a JSON value");
}

function isScalarByte(byte: number): boolean {
  const isWord = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
  return isWord || (byte >= 0x30 && byte <= 0x39) || byte === 0x2b || byte === 0x2d || byte === 0x2e;
}

function skipSpace(walk: Walk): void {
  while (isSpace(walk.bytes[walk.index])) walk.index++;
}

export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function incomplete(walk: Walk): SyntaxFault {
  return { kind: "incomplete", index: walk.bytes.length, text: "the data ends in the middle" };
}

function wrong(walk: Walk, expected: string): SyntaxFault {
  return { kind: "syntax", index: walk.index, text: `${expected} but got ${nameOf(walk.bytes[walk.index])}` };
}

function nameOf(byte: number | undefined): string {
  if (byte === undefined) return "the end";
  if (byte < 0x20 || byte === 0x7f) return `control character 0x${byte.toString(16).padStart(2, "0")}`;
  if (byte >= 0x80)
    return byte === 0xef ? "a byte order mark or another character beyond ASCII" : "a character beyond ASCII";
  if (byte >= 0x30 && byte <= 0x39) return "a digit";
  if (isScalarByte(byte) && byte > 0x40) return "a letter";
  return `${JSON.stringify(String.fromCharCode(byte))}`;
}
