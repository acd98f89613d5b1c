import fc from "fast-check";
import { ExactNumber } from "../../lib/core/json.ts";
import { moodLabels } from "./encode/column-types.ts";
import type { Samples } from "./sample.ts";

/** Numbers and texts in any spelling, with what the server has to show for them. */

const integer = (minimum: bigint, maximum: bigint): Samples["values"] =>
  fc.tuple(fc.bigInt(minimum, maximum), fc.nat(4)).map(([value, spelling]) => {
    const text = String(value);
    const padded = text.replace(/^-?/, (sign) => `${sign}00`);
    const [trimmed, zeros] = /^(-?\d*?[1-9])(0*)$/.exec(text)?.slice(1) ?? ["0", ""];
    const spellings = [
      new ExactNumber(text),
      text,
      padded,
      `${text}.00`,
      new ExactNumber(`${trimmed}e${zeros?.length}`),
    ];
    return { input: spellings[spelling] ?? text, same: text };
  });

const grown = (digits: bigint, zeros: number): string =>
  zeros > 0 ? String(digits * 10n ** BigInt(zeros)) : String(digits);

/** `mantissa` times ten to the power of `-scale`, with exactly `scale` digits behind the point where it is positive. */
function decimalText(mantissa: bigint, scale: number): string {
  if (scale <= 0) return grown(mantissa, -scale);
  const digits = String(mantissa < 0n ? -mantissa : mantissa).padStart(scale + 1, "0");
  return `${mantissa < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

const decimal = (precision: number, scale: number): Samples["values"] => {
  const most = 10n ** BigInt(precision) - 1n;
  return fc.tuple(fc.bigInt(-most, most), fc.nat(3)).map(([mantissa, spelling]) => {
    const same = decimalText(mantissa, scale);
    const short = same.includes(".") ? same.replace(/\.?0+$/, "") : same;
    const spellings = [
      same,
      new ExactNumber(short),
      `${same}${scale > 0 ? "00" : ".0"}`,
      new ExactNumber(`${mantissa}e${-scale}`),
    ];
    return { input: spellings[spelling] ?? same, same };
  });
};

const digits = fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: 40 });
const wide: Samples["values"] = fc.tuple(digits, digits, fc.boolean()).map(([whole, fraction, negative]) => {
  const plain = `${whole.replace(/^0+(?=\d)/, "")}.${fraction}`;
  const sign = negative && /[1-9]/.test(plain) ? "-" : "";
  return { input: `${negative ? "-" : ""}${whole}.${fraction}`, same: sign + plain };
});

const isDouble = (value: number) => (stored: string) => Object.is(Number(stored), value);
const doubles: Samples["values"] = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .map((value) => ({ input: Object.is(value, -0) ? "-0" : String(value), same: isDouble(value) }));
const reals: Samples["values"] = fc
  .float({ noNaN: true, noDefaultInfinity: true })
  .map((value) => ({ input: value, same: (stored) => Object.is(Math.fround(Number(stored)), value) }));

const storable = (maxLength: number) => fc.string({ unit: "binary", maxLength }).filter((text) => !text.includes("\0"));
const kept: Samples["values"] = storable(30).map((text) => ({ input: text, same: text }));
const padded: Samples["values"] = storable(8).map((text) => {
  return { input: text, same: text + " ".repeat(8 - [...text].length) };
});
const truth: Samples["values"] = fc
  .constantFrom<[string | boolean | number, string]>(
    ["t", "t"],
    ["No", "f"],
    [true, "t"],
    [false, "f"],
    [1, "t"],
    ["FALSE", "f"],
  )
  .map(([input, same]) => ({ input, same }));
const bits = (minLength: number, maxLength: number): Samples["values"] =>
  fc.string({ unit: fc.constantFrom("0", "1"), minLength, maxLength }).map((text) => ({ input: text, same: text }));
const bytes: Samples["values"] = fc.uint8Array({ maxLength: 40 }).map((value) => {
  const hex = Buffer.from(value).toString("hex");
  return { input: value.length % 2 ? hex.toUpperCase() : `\\x${hex}`, same: `\\x${hex}` };
});

export const numberSamples: readonly Samples[] = [
  { type: "smallint", values: integer(-(2n ** 15n), 2n ** 15n - 1n) },
  { type: "integer", values: integer(-(2n ** 31n), 2n ** 31n - 1n) },
  { type: "bigint", values: integer(-(2n ** 63n), 2n ** 63n - 1n) },
  { type: "oid", values: integer(0n, 2n ** 32n - 1n) },
  { type: "numeric", values: wide },
  ...[
    [8, 3],
    [30, 0],
    [2, 2],
    [2, 4],
    [3, -2],
    [40, 20],
  ].map(([precision = 0, scale = 0]): Samples => {
    return { type: `numeric(${precision},${scale})`, values: decimal(precision, scale) };
  }),
  { type: "real", values: reals },
  { type: "double precision", values: doubles },
  { type: "boolean", values: truth },
  { type: "text", values: kept },
  { type: "varchar(30)", values: kept },
  { type: "citext", values: kept },
  { type: "character(8)", values: padded },
  { type: "mood", values: fc.constantFrom(...moodLabels).map((label) => ({ input: label, same: label })) },
  { type: "bit(7)", values: bits(7, 7) },
  { type: "bit varying(9)", values: bits(0, 9) },
  { type: "bytea", values: bytes },
];
