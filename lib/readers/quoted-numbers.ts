import { ExactNumber, type JsonObject, type JsonValue } from "../core/json.ts";
import { decodeUtf8 } from "./charset.ts";
import { colon } from "./exact-values.ts";
import { isSpace } from "./json-syntax.ts";
import { maxHeldNumber } from "./scan.ts";

// `JSON.parse` with a reviver takes 4 times as long as without. Where numbers need their text, they are put in quotes
// behind a mark instead, and taken out of the strings again. The mark is U+0001: JSON holds it as this escape only.
const markEscape = "\\u0001";
const mark = 1;
const opening = Buffer.from(`"${markEscape}`);
const closing = 0x22;
const numberToken = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

/**
 * The text with the numbers at these places (start, end, start, end, ... in bytes) in quotes. Null where quoting could
 * change what the text means: where it holds the mark, or where a token is no number or stands for a key.
 */
export function quoteNumbers(text: string, places: readonly number[]): string | null {
  if (text.includes(markEscape)) return null;
  const bytes = Buffer.from(text);
  const quoted = Buffer.allocUnsafe(bytes.length + (places.length / 2) * (opening.length + 1));
  let copied = 0;
  let length = 0;
  for (let i = 0; i < places.length; i += 2) {
    const start = places[i] as number;
    const end = places[i + 1] as number;
    if (!isNumberValue(bytes, start, end)) return null;
    length += bytes.copy(quoted, length, copied, start);
    length += opening.copy(quoted, length);
    length += bytes.copy(quoted, length, start, end);
    quoted[length++] = closing;
    copied = end;
  }
  length += bytes.copy(quoted, length, copied);
  return decodeUtf8(quoted.subarray(0, length));
}

function isNumberValue(bytes: Buffer, start: number, end: number): boolean {
  // at this length the window may have cut it in two
  if (end - start >= maxHeldNumber || !numberToken.test(bytes.toString("latin1", start, end))) return false;
  let next = end;
  while (isSpace(bytes[next])) next++;
  return bytes[next] !== colon;
}

/** Puts the numbers back, in place. It goes as deep as the scanner let the value go. */
export function unquoteNumbers(value: JsonValue): JsonValue {
  if (typeof value === "string") return value.charCodeAt(0) === mark ? new ExactNumber(value.slice(1)) : value;
  if (typeof value !== "object" || value === null) return value;
  const members = value as JsonObject;
  for (const name of Object.keys(members)) {
    const member = members[name] as JsonValue;
    if (typeof member === "string" ? member.charCodeAt(0) === mark : typeof member === "object") {
      members[name] = unquoteNumbers(member);
    }
  }
  return value;
}
