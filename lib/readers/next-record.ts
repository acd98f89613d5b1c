import { type Cursor, depthFault, endFault, faultHere, placeOf, type Shape, syntaxFault } from "./cursor.ts";
import { findSyntaxFault } from "./json-syntax.ts";
import { kindAt, lookAhead } from "./shape.ts";

export type Step = "record" | "done" | "more" | "strange";

/** Goes to the next record, or to the bracket behind the last, as far as the window reaches. */
export function stepToRecord(cursor: Cursor, shape: Shape): Step {
  if (shape === "data") return cursor.records === 0 ? "record" : "done";
  const { bytes, base, end } = cursor.window;
  const lines = shape === "ndjson";
  let step: Step = "more";
  let i = cursor.offset - base;
  for (; i < end; i++) {
    const byte = bytes[i];
    if (byte === 0x0a) {
      cursor.line++;
      cursor.lineStart = base + i + 1;
      if (lines) cursor.expects = "first";
    } else if (byte === 0x2c && !lines && cursor.expects === "separator") {
      cursor.expects = "record";
    } else if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) {
      if (byte === 0x7b && cursor.expects !== "separator") step = "record";
      else if (byte === 0x5d && !lines && cursor.expects !== "record") step = "done";
      else step = "strange";
      break;
    }
  }
  cursor.offset = base + i;
  return step;
}

/** What stands where a record or a separator should. */
export async function strangeFault(cursor: Cursor, shape: Shape) {
  const { bytes, isAll } = await lookAhead(cursor);
  const from = placeOf(cursor);
  if (cursor.expects === "separator") {
    const expected = shape === "ndjson" ? "a line end" : '"," or "]"';
    return faultHere(cursor, "JSON_SYNTAX", `no JSON: expected ${expected} after the record`);
  }
  if (cursor.expects === "record" && bytes[0] === 0x5d) {
    return faultHere(cursor, "JSON_SYNTAX", "no JSON: a comma before the closing bracket");
  }
  const fault = findSyntaxFault(bytes, cursor.limits.maxDepth, true);
  if (fault?.kind === "syntax") return syntaxFault(cursor, { bytes, from, fault });
  if (fault?.kind === "deep") return depthFault(cursor);
  if (fault?.kind === "incomplete" && isAll) return endFault(cursor);
  const number = cursor.records + 1;
  return faultHere(cursor, "JSON_SHAPE", `record ${number} is ${kindAt(bytes[0] as number)}, expected an object,`);
}
