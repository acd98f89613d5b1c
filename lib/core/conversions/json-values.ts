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
    convert: (value) => {
      const look: Look = { numbersFit, hasExactNumber: false };
      const fault = faultOf(value, look, maxDepth);
      if (fault !== null) return fault;
      // Several times as fast, where no number needs its digits kept.
      return look.hasExactNumber ? toJsonText(value) : JSON.stringify(value);
    },
  };
}

type Look = {
  readonly numbersFit: (number: ExactNumber) => boolean;
  /** Set where JSON.stringify would write a number in another way. */
  hasExactNumber: boolean;
};

function fitsJsonb(number: ExactNumber): boolean {
  const decimal = parseDecimal(number.text);
  return decimal !== null && fitsNumeric(decimal);
}

function faultOf(value: JsonValue, look: Look, depth: number): Refusal | null {
  if (typeof value === "string") return isStorable(value) ? null : notStorable;
  if (typeof value === "number") look.hasExactNumber ||= Object.is(value, -0);
  if (typeof value !== "object" || value === null) return null;
  if (value instanceof ExactNumber) {
    look.hasExactNumber = true;
    return look.numbersFit(value) ? null : numberTooLong;
  }
  if (depth === 0) return tooDeep;
  if (Array.isArray(value)) {
    for (const member of value) {
      const fault = faultOf(member, look, depth - 1);
      if (fault !== null) return fault;
    }
    return null;
  }
  for (const key of Object.keys(value)) {
    const fault = isStorable(key) ? faultOf(value[key] as JsonValue, look, depth - 1) : notStorable;
    if (fault !== null) return fault;
  }
  return null;
}
