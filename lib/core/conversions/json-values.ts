import type { Conversion } from "../conversion.ts";
import { ExactNumber, type JsonValue, toJsonText } from "../json.ts";
import { Refusal } from "../rejects.ts";
import { parseDecimal } from "./decimal-text.ts";
import { fitsNumeric } from "./decimals.ts";
import { isStorable, notStorable } from "./text.ts";

/** Far below the depth at which the server's parser (54001) and our own recursion end. */
const maxDepth = 500;
const tooDeep = new Refusal("VALUE_RANGE", `json nested at most ${maxDepth} deep`);
const numberTooLong = new Refusal(
  "VALUE_RANGE",
  "jsonb: numbers of at most 131072 digits before and 16383 after the point",
);

/** A string becomes a JSON string: JSON inside a string is never parsed a second time. */
export function jsonConversion(type: "json" | "jsonb"): Conversion {
  const numbersFit = type === "json" ? () => true : fitsJsonb;
  return {
    exact: true,
    convert: (value) => faultOf(value, numbersFit, maxDepth) ?? toJsonText(value),
  };
}

function fitsJsonb(number: ExactNumber): boolean {
  const decimal = parseDecimal(number.text);
  return decimal !== null && fitsNumeric(decimal);
}

function faultOf(value: JsonValue, numbersFit: (number: ExactNumber) => boolean, depth: number): Refusal | null {
  if (typeof value === "string") return isStorable(value) ? null : notStorable;
  if (typeof value !== "object" || value === null) return null;
  if (value instanceof ExactNumber) return numbersFit(value) ? null : numberTooLong;
  if (depth === 0) return tooDeep;
  if (!Array.isArray(value)) {
    for (const key of Object.keys(value)) if (!isStorable(key)) return notStorable;
  }
  for (const member of Array.isArray(value) ? value : Object.values(value)) {
    const fault = faultOf(member, numbersFit, depth - 1);
    if (fault !== null) return fault;
  }
  return null;
}
