import {
  bytesBetween,
  type Cursor,
  endFault,
  faultHere,
  nextByte,
  passContainer,
  placeOf,
  refuseSyntax,
  type Shape,
  textOf,
} from "./cursor.ts";
import { readExactly } from "./exact-values.ts";

/** Reads what stands behind the last record, to the end of the fragment. It is skipped, but it must be JSON. */
export async function readTrailer(cursor: Cursor, shape: Shape): Promise<void> {
  if (shape === "records" || shape === "array") cursor.offset++; // the closing bracket
  if (shape === "records" || shape === "data") await passMembers(cursor);
  const byte = await nextByte(cursor);
  if (byte !== -1) throw faultHere(cursor, "JSON_SYNTAX", "no JSON: data behind the end of the top-level value");
}

const opening = '{"":0';

async function passMembers(cursor: Cursor): Promise<void> {
  if ((await nextByte(cursor)) === -1) throw endFault(cursor);
  const from = placeOf(cursor);
  cursor.depth = 1;
  cursor.values = 0;
  await passContainer(cursor, { from, keep: from.offset });
  const bytes = bytesBetween(cursor, from.offset, cursor.offset);
  const members = parseMembers(textOf(cursor, from, bytes));
  if (members === null) {
    const { offset, line, column } = from;
    const shifted = { offset: offset - opening.length, line, column: column - opening.length };
    return refuseSyntax(cursor, shifted, Buffer.concat([Buffer.from(opening), bytes]));
  }
  if (!Object.hasOwn(members, "records")) return;
  throw faultHere(cursor, "JSON_SHAPE", "records stands twice, expected it once,");
}

function parseMembers(text: string): object | null {
  try {
    JSON.parse(opening + text);
    return readExactly(opening + text).value as object;
  } catch {
    return null;
  }
}
