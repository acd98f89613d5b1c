import type { ColumnType } from "../catalog.ts";
import type { ConversionOptions } from "../contract.ts";
import type { Conversion, Convert } from "../conversion.ts";
import { Refusal } from "../rejects.ts";
import { type Decimal, numberText, parseDecimal, toPlainText } from "./decimal-text.ts";
import { specialNumberOf } from "./special-numbers.ts";

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

/** True where a numeric without precision keeps this number, digits and scale. */
export function fitsNumeric({ digits, exponent, scale }: Decimal): boolean {
  return scale <= maxFractionDigits && (digits === "" || digits.length + exponent <= maxIntegerDigits);
}

function unbounded(allowInfinity: boolean): Convert {
  const notNumber = new Refusal("VALUE_TYPE", unboundedExpectation);
  const outOfRange = new Refusal("VALUE_RANGE", unboundedExpectation);
  return (value) => {
    const text = numberText(value);
    if (text === null) return notNumber;
    if (ordinary.test(text)) return text;
    const decimal = parseDecimal(text);
    if (decimal === null) return (allowInfinity && specialNumberOf(text)) || notNumber;
    if (!fitsNumeric(decimal)) return outOfRange;
    // The server refuses absurd exponents even of a zero; the scale of 0e-5 still counts.
    if (decimal.digits === "") return decimal.scale > 0 ? `0.${"0".repeat(decimal.scale)}` : "0";
    return text;
  };
}

function bounded(precision: number, scale: number, allowInfinity: boolean): Convert {
  const expected = describe(precision, scale);
  const notNumber = new Refusal("VALUE_TYPE", expected);
  const outOfRange = new Refusal("VALUE_RANGE", expected);
  const rounded = new Refusal("VALUE_PRECISION_LOSS", expected);
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

/** Matches most texts that fit and none that do not; null for the rare scales below 0 or above the precision. */
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
