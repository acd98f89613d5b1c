import { isUtf8 } from "node:buffer";
import type { PermanentError } from "../../core/errors.ts";
import type { ByteWindow, Compression } from "../bytes.ts";
import type { ReadLimits } from "../limits.ts";
import { decodeUtf8, findInvalidUtf8, jsonFault, type Place } from "../object-faults.ts";
import { findSyntaxFault, isSpace, type SyntaxFault } from "./syntax.ts";
import type { Tape } from "./tokenize.ts";

/** `data` holds one record, `ndjson` one on each line, the others an array of them. */
export type Shape = "records" | "array" | "data" | "ndjson";

/** What the first bytes of a fragment showed. */
export type Medium = { readonly shape: Shape; readonly compression: Compression | null };

/** What may come next: a record or the end, a separator or the end, or (after a comma) only a record. */
type Expects = "first" | "separator" | "record";

/** The position of a reader in a fragment, and its state there. Functions that pass something move it on. */
export type Cursor = {
  offset: number;
  /** The line of the offset, and the offset at which that line begins. */
  line: number;
  lineStart: number;
  /** Open containers, counted from where the scan began. */
  depth: number;
  inString: boolean;
  /** Commas and containers passed since the scan set it to 0: about as many as there are values. */
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

/** The place `index` bytes behind `start`, at which `bytes` begin. */
export function placeWithin(start: Place, bytes: Uint8Array, index: number): Place {
  let { line, column } = start;
  for (let i = 0; i < index; i++) {
    const isLineEnd = bytes[i] === 0x0a;
    line += isLineEnd ? 1 : 0;
    column = isLineEnd ? 1 : column + 1;
  }
  return { offset: start.offset + index, line, column };
}

/** A value that must be in the window as a whole: where it begins, and the first offset that the window must keep. */
export type Span = { readonly from: Place; readonly keep: number };

/** Passes white space and returns the byte behind it, which is not passed; -1 at the end of the fragment. */
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

/** Reads more of a value that does not end in the window. */
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

/** For a fragment that ends inside a value. */
export function endFault(cursor: Cursor): PermanentError {
  const end = cursor.window.base + cursor.window.end;
  const place = { ...placeOf(cursor), offset: end, column: end - cursor.lineStart + 1 };
  const text = "the data ends in the middle; the upload was cut short";
  return jsonFault("JSON_TRUNCATED", cursor.key, { text, at: { place, records: cursor.records } });
}

function tooLarge(cursor: Cursor, from: Place, what: string): PermanentError {
  const text = `record ${cursor.records + 1} (with metadata, where it has any) ${what},`;
  return jsonFault("RECORD_TOO_LARGE", cursor.key, { text, at: { place: from, records: cursor.records } });
}

/** A container that never closes may only be a symptom: bytes that are not JSON are reported as such instead. */
function explainOpen(cursor: Cursor, from: Place, symptom: PermanentError): PermanentError {
  const bytes = bytesBetween(cursor, from.offset, cursor.window.base + cursor.window.end);
  if (bytes[0] !== 0x7b && bytes[0] !== 0x5b) return symptom;
  const fault = findSyntaxFault(bytes, cursor.limits.maxDepth, true);
  return fault?.kind === "syntax" ? syntaxFault(cursor, from, bytes, fault) : symptom;
}

export function syntaxFault(cursor: Cursor, from: Place, bytes: Uint8Array, fault: SyntaxFault): PermanentError {
  const at = { place: placeWithin(from, bytes, fault.index), records: cursor.records };
  return jsonFault("JSON_SYNTAX", cursor.key, { text: `no JSON: ${fault.text}`, at });
}

/** The text of bytes that begin at `from`. @throws PermanentError JSON_ENCODING if they are not UTF-8 */
export function textOf(cursor: Cursor, from: Place, bytes: Buffer): string {
  if (isUtf8(bytes)) return decodeUtf8(bytes);
  throw encodingFault(cursor, placeWithin(from, bytes, findInvalidUtf8(bytes)), cursor.records);
}

export function encodingFault(cursor: Cursor, place: Place, records: number): PermanentError {
  return jsonFault("JSON_ENCODING", cursor.key, { text: "no valid UTF-8", at: { place, records } });
}

/** @throws PermanentError JSON_SYNTAX with the first fault of bytes that turned out not to be JSON */
export function refuseSyntax(cursor: Cursor, from: Place, bytes: Uint8Array): never {
  const unknown: SyntaxFault = { kind: "syntax", index: 0, text: "the parser refuses it" };
  throw syntaxFault(cursor, from, bytes, findSyntaxFault(bytes, cursor.limits.maxDepth) ?? unknown);
}
