import type { JsonObject } from "../../core/json.ts";
import { foreignCharset, objectFault, type Place, showBytes, startsWithMark } from "../object-faults.ts";
import { passContainer, scanString } from "./container-end.ts";
import {
  bytesBetween,
  type Cursor,
  endFault,
  faultHere,
  needMore,
  nextByte,
  placeOf,
  refuseSyntax,
  type Shape,
  type Span,
  textOf,
} from "./cursor.ts";
import { readExactly } from "./exact-values.ts";
import { findSyntaxFault, tokenized } from "./syntax.ts";

const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const quote = 0x22;
const colon = 0x3a;
const comma = 0x2c;

/** Finds the shape of a fragment from its first bytes, and leaves the cursor where its records begin. */
export async function detectShape(cursor: Cursor): Promise<Shape> {
  while (cursor.window.end < 4 && (await cursor.window.more(0)));
  const head = bytesBetween(cursor, 0, Math.min(4, cursor.window.end));
  const charset = foreignCharset(head);
  if (charset !== null) {
    throw objectFault("JSON_ENCODING", cursor.key, { text: `the data is ${charset}, expected UTF-8; convert it` });
  }
  if (startsWithMark(head)) cursor.offset = cursor.lineStart = 3;
  const byte = await nextByte(cursor);
  if (byte === -1) {
    throw objectFault("S3_EMPTY", cursor.key, { text: "no data at all, expected JSON; zero records are written []" });
  }
  if (byte === openBrace) return await objectShape(cursor);
  if (byte !== openBracket) throw await scalarFault(cursor, byte);
  cursor.offset++;
  return "array";
}

/** A top-level object may hold the records, or one record as `data`, or be the first line of NDJSON. */
async function objectShape(cursor: Cursor): Promise<Shape> {
  const from = placeOf(cursor);
  const holder = await findHolder(cursor, { from, keep: from.offset });
  const { offset, line, column } = holder?.at ?? from;
  Object.assign(cursor, { offset, line, lineStart: offset - column + 1 });
  if (holder === null) return "ndjson";
  validateHead(cursor, from);
  if (holder.shape === "records") cursor.offset++;
  return holder.shape;
}

/** The member that holds the records, or null. Null for broken JSON too: reading it as a record reports the fault. */
async function findHolder(cursor: Cursor, span: Span): Promise<{ shape: "records" | "data"; at: Place } | null> {
  let data: Place | null = null;
  let others = 0;
  do {
    cursor.offset++;
    const name = await passName(cursor, span);
    if (name === null) return null;
    const byte = await nextByte(cursor, span);
    const at = placeOf(cursor);
    if (name === "records" && byte === openBracket) return { shape: "records", at };
    if (name === "records" && byte !== -1) throw faultHere(cursor, "JSON_SHAPE", "records is no array, expected one");
    if (name === "data" && byte === openBrace && data === null) data = at;
    else if (name !== "metadata") others++;
    await passValue(cursor, span);
  } while ((await nextByte(cursor, span)) === comma);
  const closes = (await nextByte(cursor, span)) === closeBrace;
  return closes && data !== null && others === 0 ? { shape: "data", at: data } : null;
}

/** No name that matters is longer, even if every character is written as an escape. */
const maxNameBytes = 64;

/** Passes a name and its colon. Null if there is none; an empty text for a name that is too long to matter. */
async function passName(cursor: Cursor, span: Span): Promise<string | null> {
  if ((await nextByte(cursor, span)) !== quote) return null;
  const from = cursor.offset;
  await passValue(cursor, span);
  const text = cursor.offset - from > maxNameBytes ? '""' : bytesBetween(cursor, from, cursor.offset).toString();
  if ((await nextByte(cursor, span)) !== colon) return null;
  cursor.offset++;
  return parseName(text);
}

function parseName(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return ""; // the fault is found, with its place, when the head or the record is read as a whole
  }
}

async function passValue(cursor: Cursor, span: Span): Promise<void> {
  const byte = await nextByte(cursor, span);
  cursor.depth = 0;
  if (byte === openBrace || byte === openBracket) return await passContainer(cursor, span);
  if (byte !== quote) return await passScalar(cursor, span);
  cursor.offset++;
  while (!scanString(cursor)) await needMore(cursor, span);
}

async function passScalar(cursor: Cursor, span: Span): Promise<void> {
  for (;;) {
    const { bytes, base, end } = cursor.window;
    let i = cursor.offset - base;
    while (i < end && !isDelimiter(bytes[i] as number)) i++;
    cursor.offset = base + i;
    if (i < end) return;
    await needMore(cursor, span);
  }
}

function isDelimiter(byte: number): boolean {
  return byte === comma || byte === closeBrace || byte === 0x5d || byte <= 0x20;
}

/** Metadata before the records is skipped, but it must be JSON. */
function validateHead(cursor: Cursor, from: Place): void {
  const head = bytesBetween(cursor, from.offset, cursor.offset);
  const text = textOf(cursor, from, head);
  try {
    JSON.parse(`${text}0}`);
  } catch {
    refuseSyntax(cursor, from, Buffer.concat([head, Buffer.from("0}")]));
  }
}

const lookaheadBytes = 64 * 1024;

/** The bytes at the cursor, for the message of a fault; `isAll` if the fragment ends with them. */
export async function lookAhead(cursor: Cursor): Promise<{ bytes: Buffer; isAll: boolean }> {
  const until = cursor.offset + lookaheadBytes;
  let isAll = false;
  while (!isAll && cursor.window.base + cursor.window.end < until) isAll = !(await cursor.window.more(cursor.offset));
  return { bytes: bytesBetween(cursor, cursor.offset, cursor.window.base + cursor.window.end), isAll };
}

export function kindAt(byte: number): string {
  if (byte === openBracket) return "an array";
  if (byte === quote) return "a string";
  if (byte === 0x6e) return "null";
  return byte === 0x74 || byte === 0x66 ? "a boolean" : "a number";
}

/** For a first byte that is no brace or bracket: a scalar, lines of them, or a file of another kind. */
async function scalarFault(cursor: Cursor, byte: number) {
  const { bytes, isAll } = await lookAhead(cursor);
  const fault = findSyntaxFault(bytes, cursor.limits.maxDepth);
  const isLine = fault?.kind === "syntax" && findSyntaxFault(bytes.subarray(0, fault.index), 1) === null;
  const isScalar =
    fault === null || (fault.kind === "incomplete" && !isAll) || (isLine && endsLine(bytes, fault.index));
  if (isScalar)
    return faultHere(cursor, "JSON_SHAPE", `the top level is ${kindAt(byte)}, expected an object or an array of them,`);
  return faultHere(cursor, "JSON_SYNTAX", `no JSON: the data begins with ${showBytes(bytes)}, expected "{" or "["`);
}

function endsLine(bytes: Buffer, index: number): boolean {
  const before = bytes.lastIndexOf(0x0a, index - 1);
  return before > 0 && bytes.subarray(before, index).every((byte) => byte <= 0x20);
}

/** Reads the rest of the fragment behind the last record: metadata, which is skipped but must be JSON, and no more. */
export async function readTrailer(cursor: Cursor, shape: Shape): Promise<void> {
  if (shape === "records" || shape === "array") cursor.offset++; // the closing bracket
  if (shape === "records" || shape === "data") await passMembers(cursor);
  const byte = await nextByte(cursor);
  if (byte !== -1) throw faultHere(cursor, "JSON_SYNTAX", "no JSON: data behind the end of the top-level value");
}

/** Stands for the members up to here, so that the rest can be read as an object. */
const opening = Buffer.from('{"":0');

async function passMembers(cursor: Cursor): Promise<void> {
  if ((await nextByte(cursor)) === -1) throw endFault(cursor);
  const from = placeOf(cursor);
  Object.assign(cursor, { depth: 1, values: 0 });
  await passContainer(cursor, { from, keep: from.offset });
  const bytes = bytesBetween(cursor, from.offset, cursor.offset);
  textOf(cursor, from, bytes);
  const object = Buffer.concat([opening, bytes]);
  const { tape, bytes: padded } = tokenized(object, cursor.limits.maxDepth);
  if (tape.outcome !== "closed") {
    const { offset, line, column } = from;
    return refuseSyntax(cursor, { offset: offset - opening.length, line, column: column - opening.length }, object);
  }
  const { value } = readExactly({ tokens: tape.tokens, bytes: padded }, 0);
  if (!Object.hasOwn(value as JsonObject, "records")) return;
  throw faultHere(cursor, "JSON_SHAPE", "records stands twice, expected it once,");
}
