import type { ColumnType } from "../catalog.ts";
import type { Conversion } from "../conversion.ts";
import { ExactNumber, type JsonValue } from "../json.ts";
import { Refusal } from "../rejects.ts";
import { parseDecimal, toPlainText } from "./decimal-text.ts";

export const notStorable = new Refusal("VALUE_ENCODING", "text without NUL characters and lone surrogates");

/** False for NUL, which PostgreSQL cannot hold, and lone surrogates, which no UTF-8 can. */
export function isStorable(text: string): boolean {
  return !text.includes("\u0000") && text.isWellFormed();
}

/** The text of a scalar, numbers digit by digit; null for arrays and objects. */
export function scalarText(value: JsonValue): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number") return plainNumberText(value);
  if (typeof value === "boolean") return value ? "true" : "false";
  return value instanceof ExactNumber ? value.text : null;
}

/** A number that was written with an exponent arrives as an ExactNumber: one that JavaScript adds was not there. */
function plainNumberText(value: number): string {
  if (Object.is(value, -0)) return "-0";
  const text = String(value);
  if (!text.includes("e")) return text;
  const decimal = parseDecimal(text);
  return decimal === null ? text : toPlainText(decimal);
}

/** `type.length` counts characters, as varchar(n) and char(n) do. */
export function textConversion(type: ColumnType): Conversion {
  const { length } = type;
  const name = type.name === "bpchar" ? "character" : "character varying";
  const expected = length === null ? "text" : `${name}(${length})`;
  const notText = new Refusal("VALUE_TYPE", `${expected}: a string, number or boolean`);
  const tooLong = new Refusal("VALUE_TOO_LONG", `${expected}: at most ${length} characters`);
  return {
    // citext comes with an extension that staging need not see on its search path.
    exact: type.name !== "citext",
    convert: (value) => {
      const text = scalarText(value);
      if (text === null) return notText;
      if (!isStorable(text)) return notStorable;
      return length !== null && text.length > length && isLonger(text, length) ? tooLong : text;
    },
  };
}

/** A character is one or two UTF-16 units. */
function isLonger(text: string, length: number): boolean {
  if (text.length > 2 * length) return true;
  let count = 0;
  for (const _ of text) count += 1;
  return count > length;
}
