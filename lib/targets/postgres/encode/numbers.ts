import type { ColumnType } from "../../../core/catalog.ts";
import type { ConversionOptions } from "../../../core/contract.ts";
import { ExactNumber, type JsonValue } from "../../../core/json.ts";
import { ValueReject } from "../../../core/rejects.ts";
import type { Conversion, Convert } from "./conversion.ts";

/** PostgreSQL's limits of a numeric without precision (and of a number inside jsonb). */
const maxIntegerDigits = 131_072;
const maxFractionDigits = 16_383;
const unboundedExpectation = `numeric: at most ${maxIntegerDigits} digits before and ${maxFractionDigits} after the point`;
const ordinary = /^-?\d{1,1000}(?:\.\d{1,1000})?$/;

export function decimalConversion(type: ColumnType, options: ConversionOptions): Conversion {
  const { precision } = type;
  if (precision === null) return { convert: unbounded(options.allowInfinity), exact: true };
  return { convert: bounded(precision, type.scale ?? 0, options.allowInfinity), exact: true };
}

/** Whether a numeric without precision keeps this number with all its digits and its scale. */
export function fitsNumeric({ digits, exponent, scale }: Decimal): boolean {
  return scale <= maxFractionDigits && (digits === "" || digits.length + exponent <= maxIntegerDigits);
}

function unbounded(allowInfinity: boolean): Convert {
  const notNumber = new ValueReject("VALUE_TYPE", unboundedExpectation);
  const outOfRange = new ValueReject("VALUE_RANGE", unboundedExpectation);
  return (value) => {
    const text = numberText(value);
    if (text === null) return notNumber;
    if (ordinary.test(text)) return text;
    const decimal = parseDecimal(text);
    if (decimal === null) return (allowInfinity && specialNumberOf(text)) || notNumber;
    if (!fitsNumeric(decimal)) return outOfRange;
    // The server refuses huge exponents even of a zero, so zeros are written out; the scale of 0e-5 is kept.
    if (decimal.digits === "") return decimal.scale > 0 ? `0.${"0".repeat(decimal.scale)}` : "0";
    return text;
  };
}

function bounded(precision: number, scale: number, allowInfinity: boolean): Convert {
  const expected = describe(precision, scale);
  const notNumber = new ValueReject("VALUE_TYPE", expected);
  const outOfRange = new ValueReject("VALUE_RANGE", expected);
  const rounded = new ValueReject("VALUE_PRECISION_LOSS", expected);
  const fitting = fittingForm(precision, scale);
  const special = (text: string) => {
    const name = allowInfinity ? specialNumberOf(text) : null;
    // A numeric with a precision holds NaN, but no infinity.
    if (name === "NaN") return name;
    return name === null ? notNumber : outOfRange;
  };
  return (value) => {
    const text = numberText(value);
    if (text === null) return notNumber;
    if (fitting?.test(text)) return text;
    const decimal = parseDecimal(text);
    if (decimal === null) return special(text);
    if (decimal.digits === "") return "0";
    if (decimal.digits.length + decimal.exponent > precision - scale) return outOfRange;
    return decimal.exponent < -scale ? rounded : toPlainText(decimal);
  };
}

/** Matches most texts that fit, and no others; null for the rare scales below 0 or above the precision. */
function fittingForm(precision: number, scale: number): RegExp | null {
  if (scale < 0 || scale > precision) return null;
  const integer = precision === scale ? "0" : `\\d{1,${precision - scale}}`;
  return new RegExp(`^-?${integer}${scale === 0 ? "" : `(?:\\.\\d{1,${scale}})?`}$`);
}

function describe(precision: number, scale: number): string {
  const name = `numeric(${precision},${scale})`;
  if (scale < 0) return `${name}: multiples of 1e${-scale}, at most ${precision - scale} digits`;
  if (scale > precision) return `${name}: below 1e-${scale - precision}, at most ${scale} digits after the point`;
  return `${name}: at most ${precision - scale} digits before and ${scale} after the point`;
}

/** A decimal number: `digits` times ten to the power of `exponent`. */
export type Decimal = {
  readonly negative: boolean;
  /** Significant digits without leading and trailing zeros; empty for zero. */
  readonly digits: string;
  /** May be infinite if the exponent in the text is huge, so compare it before computing with it. */
  readonly exponent: number;
  /** Digits behind the point as written; negative if the exponent moves the point beyond the last digit. */
  readonly scale: number;
};

const decimalForm = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
const zero = 48;

/** The text of a number, or a string, which may hold a number; null for other values. */
export function numberText(value: JsonValue): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  return value instanceof ExactNumber ? value.text : null;
}

/** Parses JSON's number syntax (leading zeros allowed) without any loss; null for any other text. */
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

/** The number without an exponent. Check its size first: the text grows with the exponent. */
export function toPlainText({ negative, digits, exponent }: Decimal): string {
  if (digits === "") return "0";
  const sign = negative ? "-" : "";
  if (exponent >= 0) return sign + digits + "0".repeat(exponent);
  const padded = digits.padStart(1 - exponent, "0");
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}

const limits = {
  int2: { minimum: -32_768n, maximum: 32_767n },
  int4: { minimum: -2_147_483_648n, maximum: 2_147_483_647n },
  oid: { minimum: 0n, maximum: 4_294_967_295n },
  int8: { minimum: -9_223_372_036_854_775_808n, maximum: 9_223_372_036_854_775_807n },
} as const;

/** No integer type holds more digits: longer numbers are rejected before they become a costly BigInt. */
const maxDigits = 19;
/** 15 digits always survive a double. */
const shortInteger = /^-?\d{1,15}$/;
const integerString = /^-?\d+(?:\.0+)?$/;

export function integerConversion(type: keyof typeof limits): Conversion {
  const { minimum, maximum } = limits[type];
  const expected = `integer from ${minimum} to ${maximum}`;
  const notInteger = new ValueReject("VALUE_TYPE", expected);
  const outOfRange = new ValueReject("VALUE_RANGE", expected);
  // As doubles the limits of int8 are not exact, but no safe integer comes near them.
  const [low, high] = [Number(minimum), Number(maximum)];

  // String(-0) is "0", as it should be.
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

const specialNumber = /^(?:nan|(-?)inf(?:inity)?)$/i;

/** NaN and the infinities in PostgreSQL's spelling; null for any other text. */
export function specialNumberOf(text: string): "NaN" | "Infinity" | "-Infinity" | null {
  // The longest is "-Infinity"; this spares most texts the regular expression.
  if (text.length > 9) return null;
  const match = specialNumber.exec(text);
  if (match === null) return null;
  if (match[1] === undefined) return "NaN";
  return match[1] === "-" ? "-Infinity" : "Infinity";
}
