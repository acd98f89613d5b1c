import fc from "fast-check";
import { test } from "vitest";
import { ExactNumber } from "../../../lib/core/json.ts";
import { verdictOf } from "./column-types.ts";

const digits = (maximum: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: maximum });
const signed = (text: string, negative: boolean) => (negative ? `-${text}` : text);

test("any integer keeps its text, as a string and as a number", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }), (value) => {
      const fits = value >= -(2n ** 63n) && value < 2n ** 63n;
      const expected = fits ? String(value) : "VALUE_RANGE";
      const asNumber = verdictOf("bigint", new ExactNumber(String(value)));
      return verdictOf("bigint", String(value)) === expected && asNumber === expected;
    }),
  );
});

test("an exponent says the same as the digits written out", () => {
  fc.assert(
    fc.property(fc.integer({ min: -99_999, max: 99_999 }), fc.nat(6), (value, zeros) => {
      const written = new ExactNumber(`${value}e${zeros}`);
      return (
        verdictOf("integer", written) === verdictOf("integer", String(value) + (value === 0 ? "" : "0".repeat(zeros)))
      );
    }),
  );
});

test("numeric(p,s) takes a text if and only if no digit is lost", () => {
  const shape = fc.record({
    precision: fc.integer({ min: 1, max: 40 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(shape, digits(25), digits(25), fc.boolean(), ({ precision, share }, whole, fraction, negative) => {
      const scale = Math.floor(precision * share);
      const verdict = verdictOf(`numeric(${precision},${scale})`, signed(`${whole}.${fraction}`, negative));
      if (whole.replace(/^0+/, "").length > precision - scale) return verdict === "VALUE_RANGE";
      if (fraction.replace(/0+$/, "").length > scale) return verdict === "VALUE_PRECISION_LOSS";
      return isSame(verdict, signed(`${whole}.${fraction}`, negative));
    }),
  );
});

test("numeric keeps every digit and the scale as they were written", () => {
  fc.assert(
    fc.property(digits(60), digits(60), fc.boolean(), (whole, fraction, negative) => {
      const text = signed(`${whole}.${fraction}`, negative);
      return verdictOf("numeric", text) === text || /^-?[0.]+$/.test(text);
    }),
  );
});

test("every finite double comes back, and every real that JavaScript or PostgreSQL would show", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      return Object.is(
        Number(verdictOf("double precision", new ExactNumber(Object.is(value, -0) ? "-0" : String(value)))),
        value,
      );
    }),
  );
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      return Math.fround(Number(verdictOf("real", value))) === value;
    }),
  );
});

/** Equal as decimals: signs, digits in front of and behind the point, without the zeros that say nothing. */
function isSame(left: string, right: string): boolean {
  return plain(left) === plain(right);
}

function plain(text: string): string {
  const [whole = "", fraction = ""] = text.replace("-", "").split(".");
  const shown = `${whole.replace(/^0+/, "")}.${fraction.replace(/0+$/, "")}`;
  return shown === "." ? "0" : signed(shown, text.startsWith("-"));
}
