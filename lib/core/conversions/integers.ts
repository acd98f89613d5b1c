import type { Conversion } from "../conversion.ts";
import type { JsonValue } from "../json.ts";
import { Refusal } from "../rejects.ts";
import { numberText, parseDecimal, toPlainText } from "./decimal-text.ts";

const limits = {
  int2: { minimum: -32_768n, maximum: 32_767n },
  int4: { minimum: -2_147_483_648n, maximum: 2_147_483_647n },
  oid: { minimum: 0n, maximum: 4_294_967_295n },
  int8: { minimum: -9_223_372_036_854_775_808n, maximum: 9_223_372_036_854_775_807n },
} as const;

/** No integer type holds more digits, so longer ones are refused before a BigInt is made of them. */
const maxDigits = 19;
/** 15 digits always survive a double. */
const shortInteger = /^-?\d{1,15}$/;
const integerString = /^-?\d+(?:\.0+)?$/;

export function integerConversion(type: keyof typeof limits): Conversion {
  const { minimum, maximum } = limits[type];
  const expected = `integer from ${minimum} to ${maximum}`;
  const notInteger = new Refusal("VALUE_TYPE", expected);
  const outOfRange = new Refusal("VALUE_RANGE", expected);
  // For int8 the doubles lie just outside the true limits, which no safe integer reaches.
  const [low, high] = [Number(minimum), Number(maximum)];

  // String(-0) is "0", so a negative zero needs no care.
  const judge = (value: number) => (value >= low && value <= high ? String(value) : outOfRange);

  const judgeText = (text: string) => {
    const decimal = parseDecimal(text);
    if (decimal === null) return notInteger;
    if (decimal.digits === "") return "0";
    if (decimal.exponent < 0) return notInteger;
    if (decimal.digits.length + decimal.exponent > maxDigits) return outOfRange;
    const plain = toPlainText(decimal);
    const exact = BigInt(plain);
    return exact >= minimum && exact <= maximum ? plain : outOfRange;
  };

  const convert = (value: JsonValue) => {
    if (typeof value === "number" && Number.isSafeInteger(value)) return judge(value);
    if (typeof value === "string") {
      if (shortInteger.test(value)) return judge(Number(value));
      return integerString.test(value) ? judgeText(value) : notInteger;
    }
    const text = numberText(value);
    return text === null ? notInteger : judgeText(text);
  };
  return { convert, exact: true };
}
