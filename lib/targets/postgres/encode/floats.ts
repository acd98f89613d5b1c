import type { ConversionOptions } from "../../../core/contract.ts";
import { ValueReject } from "../../../core/rejects.ts";
import type { Conversion } from "./conversion.ts";
import { type Decimal, isSameNumber, numberText, parseDecimal, specialNumberOf, toPlainText } from "./numbers.ts";

type Float = {
  readonly expected: string;
  /** The nearest value of the type, as a double. */
  readonly nearest: (value: number) => number;
  /** The shortest decimal that reads back as this value of the type, as a double. */
  readonly shortest: (stored: number) => number;
  /** Matches some decimals that are certain to be shown as they were written; null if no test is worth it. */
  readonly safe: RegExp | null;
};

const smallestNormalReal = 1.1754943508222875e-38;
/** Six digits always survive a normal real; nine distinguish any two reals. */
const safeRealDigits = 6;
const maxRealDigits = 9;

/** At most six digits, so neither their precision nor their size comes near the limits of real. */
const safeReal = /^-?(?=[\d.]{1,7}$)\d{1,6}(?:\.\d{1,5})?$/;

const types: Readonly<Record<"float4" | "float8", Float>> = {
  float4: {
    expected: "real: a finite number of about 7 digits, from 1e-45 to 3.4028235e38",
    nearest: Math.fround,
    shortest: shortestReal,
    safe: safeReal,
  },
  float8: {
    expected: "double precision: a finite number of about 15 digits, from 5e-324 to 1.7976931348623157e308",
    nearest: (value) => value,
    shortest: (stored) => stored,
    safe: null,
  },
};

/** Plain decimals of at most 15 digits, which certainly survive a double. */
const shortDecimal = /^-?(?=[\d.]{1,16}$)\d{1,15}(?:\.\d{1,14})?$/;

export function floatConversion(type: "float4" | "float8", { allowInfinity }: ConversionOptions): Conversion {
  const { expected, nearest, shortest, safe } = types[type];
  const notNumber = new ValueReject("VALUE_TYPE", expected);
  const outOfRange = new ValueReject("VALUE_RANGE", expected);
  const rounded = new ValueReject("VALUE_PRECISION_LOSS", expected);

  /** `exact` is null if the double alone tells what was written. */
  const judge = (value: number, exact: Decimal | null) => {
    const stored = nearest(value);
    if (!Number.isFinite(stored)) return outOfRange;
    if (stored === 0) {
      if (value !== 0 || (exact !== null && exact.digits !== "")) return outOfRange;
      return Object.is(stored, -0) ? "-0" : "0";
    }
    if (exact === null && safe?.test(String(value))) return String(value);
    const shown = stored === value ? value : shortest(stored);
    if (exact === null && shown === value) return String(shown);
    const written = exact ?? parseDecimal(String(value));
    return written !== null && isShownAs(written, shown, stored) ? String(shown) : rounded;
  };

  const convert = (value: Parameters<Conversion["convert"]>[0]) => {
    if (typeof value === "number") return judge(value, null);
    const text = numberText(value);
    if (text === null) return notNumber;
    if (shortDecimal.test(text)) return judge(Number(text), null);
    const exact = parseDecimal(text);
    if (exact !== null) return judge(Number(text), exact);
    return (allowInfinity && specialNumberOf(text)) || notNumber;
  };
  return { convert, exact: true };
}

/** Whether PostgreSQL or another program would show `stored` as it was written: shortest, or with all digits. */
function isShownAs(written: Decimal, shown: number, stored: number): boolean {
  const shortest = decimalOf(String(shown));
  if (isSameNumber(written, shortest)) return true;
  const full = decimalOf(stored.toPrecision(100));
  if (isSameNumber(written, full)) return true;
  if (!isHalfway(shortest, stored)) return false;
  return [16, 17].some((digits) => isSameNumber(written, decimalOf(stored.toPrecision(digits))));
}

/**
 * JavaScript and Python shorten a double even to a decimal that lies halfway to the next double, PostgreSQL does not.
 * No double below 2^53 has such a short decimal.
 */
function isHalfway(shortest: Decimal, stored: number): boolean {
  if (Math.abs(stored) <= Number.MAX_SAFE_INTEGER || shortest.exponent < 0) return false;
  const mirrored = 2n * BigInt(toPlainText(shortest)) - BigInt(stored);
  return BigInt(Number(mirrored)) === mirrored;
}

function decimalOf(numberText: string): Decimal {
  return parseDecimal(numberText) as Decimal;
}

/** As PostgreSQL shows a real: never by a decimal that lies halfway to the next real. */
function shortestReal(stored: number): number {
  const first = Math.abs(stored) < smallestNormalReal ? 1 : safeRealDigits;
  for (let digits = first; digits < maxRealDigits; digits += 1) {
    const candidate = Number(stored.toPrecision(digits));
    const mirrored = 2 * candidate - stored;
    const isHalfwayToNext = candidate !== stored && Math.fround(mirrored) === mirrored;
    if (Math.fround(candidate) === stored && !isHalfwayToNext) return evenOfTie(stored, digits) ?? candidate;
  }
  return Number(stored.toPrecision(maxRealDigits));
}

/** Of two equally near decimals `toPrecision` takes the upper and PostgreSQL the even one; null if these agree. */
function evenOfTie(stored: number, digits: number): number | null {
  const oneMore = stored.toPrecision(digits + 1);
  if (Number(oneMore) !== stored) return null;
  const full = decimalOf(oneMore);
  if (full.digits.length !== digits + 1 || !/[02468]5$/.test(full.digits)) return null;
  return Number(`${full.negative ? "-" : ""}${full.digits.slice(0, -1)}e${full.exponent + 1}`);
}
