import { ExactNumber, type JsonValue } from "../json.ts";

/** A decimal number taken apart: `digits` times ten to the power of `exponent`. */
export type Decimal = {
  readonly negative: boolean;
  /** Significant digits without leading and trailing zeros; empty for zero. */
  readonly digits: string;
  /** May be infinite where the text's exponent is absurd, so compare before computing. */
  readonly exponent: number;
  /** Digits behind the point as they were written; negative where the exponent moves the point past them. */
  readonly scale: number;
};

const decimalForm = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
const zero = 48;

/** The text of a number, or of a string that may hold one; null for any other kind. */
export function numberText(value: JsonValue): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  return value instanceof ExactNumber ? value.text : null;
}

/** Takes JSON's number syntax (leading zeros allowed) apart without computing with it; null for any other text. */
export function parseDecimal(text: string): Decimal | null {
  const match = decimalForm.exec(text);
  if (match === null) return null;
  const fraction = match[3] ?? "";
  const all = match[2] + fraction;
  const scale = fraction.length - Number(match[4] ?? 0);
  let start = 0;
  while (start < all.length && all.charCodeAt(start) === zero) start += 1;
  let end = all.length;
  while (end > start && all.charCodeAt(end - 1) === zero) end -= 1;
  return { negative: match[1] === "-", digits: all.slice(start, end), exponent: all.length - end - scale, scale };
}

export function isSameNumber(left: Decimal, right: Decimal): boolean {
  if (left.digits !== right.digits) return false;
  return left.digits === "" || (left.exponent === right.exponent && left.negative === right.negative);
}

/** The number without an exponent. Check its size first: the text is as long as its exponent is large. */
export function toPlainText({ negative, digits, exponent }: Decimal): string {
  if (digits === "") return "0";
  const sign = negative ? "-" : "";
  if (exponent >= 0) return sign + digits + "0".repeat(exponent);
  const padded = digits.padStart(1 - exponent, "0");
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}
