import { isUtf8 } from "node:buffer";
import type { PermanentError } from "../../core/errors.ts";
import type { ByteWindow, Compression } from "../bytes.ts";
import type { ReadLimits } from "../limits.ts";
import { type At, decodeUtf8, findInvalidUtf8, jsonFault, type Place } from "../object-faults.ts";
import { findSyntaxFault, isSpace, type SyntaxFault } from "./syntax.ts";
import type { Tape } from "./tokenize.ts";

/** `data` holds one record, `ndjson` one per line; the others an array of them. */
export type Shape = "records" | "array" | "data" | "ndjson";

/** What the first bytes told about a fragment. */
export type Medium = { readonly shape: Shape; readonly compression: Compression | null };

/** What may stand at the cursor: the first record or the array's end, a comma or line end, or a record for sure. */
type Expects = "first" | "separator" | "record";

/** A reader's place in a fragment, with what it knows by then. Every function that takes it moves it on. */
export type Cursor = {
  offset: number;
  /** The line of the offset, and where it begins. */
  line: number;
  lineStart: number;
  /** Containers that are open, counted from where the scan began. */
  depth: number;
  inString: boolean;
  /** Commas and containers that were passed: about as many as values. Whoever begins to count sets it to 0. */
  values: number;
  /** The records of the group that is being read. */
  readonly tape: Tape;
  readonly key: string;
  readonly limits: ReadLimits;
  readonly window: ByteWindow;
  /** Complete records before the offset. */
  records: number;
  expects: Expects;
};

/** The bytes from one offset of the window to another. */
export function bytesBetween(cursor: Cursor, from: number, to: number): Buffer {
  const { bytes, base } = cursor.window;
  return bytes.subarray(from - base, to - base);
}

export function placeOf(cursor: Cursor): Place {
  return { offset: cursor.offset, line: cursor.line, column: cursor.offset - cursor.lineStart + 1 };
}

export function faultHere(cursor: Cursor, code: string, text: string): PermanentError {
  return jsonFault(code, cursor.key, { text, at: { place: placeOf(cursor), records: cursor.records } });
}

/** The place `index` bytes behind `start`, whose bytes are given. */
export function placeWithin(start: Place, bytes: Uint8Array, index: number): Place {
  let { line, column } = start;
  for (let i = 0; i < index; i++) {
    const isLineEnd = bytes[i] === 0x0a;
    line += isLineEnd ? 1 : 0;
    column = isLineEnd ? 1 : column + 1;
  }
  return { offset: start.offset + index, line, column };
}

/** Something that is read as a whole: where it began, and the first byte that must stay at hand. */
export type Span = { readonly from: Place; readonly keep: number };

/** Passes white space and answers the byte behind it, or -1 at the end of the fragment. */
export async function nextByte(cursor: Cursor, span?: Span): Promise<number> {
  for (;;) {
    const { bytes, base, end } = cursor.window;
    let i = cursor.offset - base;
    while (i < end && isSpace(bytes[i])) {
      if (bytes[i++] !== 0x0a) continue;
      cursor.line++;
      cursor.lineStart = base + i;
    }
    cursor.offset = base + i;
    if (span !== undefined) refuseLarge(cursor, span);
    if (i < end) return bytes[i] as number;
    if (!(await cursor.window.more(span?.keep ?? cursor.offset))) return -1;
  }
}

/** Takes in more of something that does not end in the window. */
export async function needMore(cursor: Cursor, span: Span): Promise<void> {
  refuseLarge(cursor, span);
  if (!(await cursor.window.more(span.keep))) throw explainOpen(cursor, span.from, endFault(cursor));
}

export function refuseLarge(cursor: Cursor, { from }: Span): void {
  const { maxRecordBytes, maxValues } = cursor.limits;
  if (cursor.values > maxValues) throw tooLarge(cursor, from, `has more than ${maxValues} values`);
  if (cursor.offset - from.offset <= maxRecordBytes) return;
  throw explainOpen(cursor, from, tooLarge(cursor, from, `is larger than ${maxRecordBytes} bytes`));
}

export function depthFault(cursor: Cursor): PermanentError {
  return faultHere(cursor, "JSON_DEPTH", `more than ${cursor.limits.maxDepth} nested arrays and objects`);
}

/** The fragment ends inside of something. */
export function endFault(cursor: Cursor): PermanentError {
  const end = cursor.window.base + cursor.window.end;
  const at: At = {
    place: { ...placeOf(cursor), offset: end, column: end - cursor.lineStart + 1 },
    records: cursor.records,
  };
  return jsonFault("JSON_TRUNCATED", cursor.key, { text: "the data ends in the middle; the upload was cut short", at });
}

function tooLarge(cursor: Cursor, from: Place, what: string): PermanentError {
  const text = `record ${cursor.records + 1} (with metadata, where it has any) ${what},`;
  return jsonFault("RECORD_TOO_LARGE", cursor.key, { text, at: { place: from, records: cursor.records } });
}

/** A container that never closes is a symptom: where its bytes are no JSON at all, that is what is said. */
function explainOpen(cursor: Cursor, from: Place, symptom: PermanentError): PermanentError {
  const bytes = bytesBetween(cursor, from.offset, cursor.window.base + cursor.window.end);
  if (bytes[0] !== 0x7b && bytes[0] !== 0x5b) return symptom;
  const fault = findSyntaxFault(bytes, cursor.limits.maxDepth, true);
  return fault?.kind === "syntax" ? syntaxFault(cursor, { bytes, from, fault }) : symptom;
}

type Faulty = { readonly bytes: Uint8Array; readonly from: Place; readonly fault: SyntaxFault };

export function syntaxFault({ key, records }: Cursor, { bytes, from, fault }: Faulty): PermanentError {
  const at: At = { place: placeWithin(from, bytes, fault.index), records };
  return jsonFault("JSON_SYNTAX", key, { text: `no JSON: ${fault.text}`, at });
}

/** The text of bytes that must be UTF-8. */
export function textOf(cursor: Cursor, from: Place, bytes: Buffer): string {
  if (isUtf8(bytes)) return decodeUtf8(bytes);
  throw encodingFault(cursor, placeWithin(from, bytes, findInvalidUtf8(bytes)), cursor.records);
}

export function encodingFault(cursor: Cursor, place: Place, records: number): PermanentError {
  return jsonFault("JSON_ENCODING", cursor.key, { text: "no valid UTF-8", at: { place, records } });
}

/** Throws JSON_SYNTAX with the first fault of bytes that `JSON.parse` refused. */
export function refuseSyntax(cursor: Cursor, from: Place, bytes: Uint8Array): never {
  const unknown: SyntaxFault = { kind: "syntax", index: 0, text: "the parser refuses it" };
  throw syntaxFault(cursor, { bytes, from, fault: findSyntaxFault(bytes, cursor.limits.maxDepth) ?? unknown });
}
