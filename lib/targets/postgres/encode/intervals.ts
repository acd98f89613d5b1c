import type { ColumnType, IntervalUnit } from "../../../core/catalog.ts";
import { ValueReject } from "../../../core/rejects.ts";
import { microsecondDigits } from "./calendar.ts";
import type { Conversion } from "./conversion.ts";

const count = String.raw`(-?\d{1,30})`;
const duration = new RegExp(
  `^P(?=.)(?:${count}Y)?(?:${count}M)?(?:${count}W)?(?:${count}D)?` +
    String.raw`(?:T(?=.)(?:${count}H)?(?:${count}M)?(?:(-?)(\d{1,30})(?:\.(\d{1,100}))?S)?)?$`,
);

/** The three parts that PostgreSQL stores; none carries over into another. */
type Interval = { readonly months: number; readonly days: number; readonly microseconds: bigint };

const second = 1_000_000n;
const maxInt = 2_147_483_647;
/** The server adds in 64 bits, and reserves both extremes for the infinities. */
const maxMicroseconds = 2n ** 63n - 2n;
/** The server reads seconds through a double, which holds so many digits and six more behind the point. */
const maxSecondDigits = 9;

export function intervalConversion({ smallestUnit, fractionDigits }: ColumnType): Conversion {
  const digits = fractionDigits ?? microsecondDigits;
  const kept = smallestUnit === null ? `at most ${digits} fraction digits` : `nothing smaller than a ${smallestUnit}`;
  const expected = `interval: an ISO 8601 duration of whole units such as P1Y2M3DT4H5M6.7S, ${kept}`;
  const notDuration = new ValueReject("VALUE_TYPE", expected);
  const outOfRange = new ValueReject("VALUE_RANGE", expected);
  const cut = new ValueReject("VALUE_PRECISION_LOSS", expected);
  return {
    exact: true,
    convert: (value) => {
      const match = typeof value === "string" ? duration.exec(value) : null;
      if (match === null) return notDuration;
      const fraction = (match[9] ?? "").replace(/0+$/, "");
      if (fraction.length > digits) return cut;
      const interval = intervalOf(match, fraction);
      if (interval === null) return outOfRange;
      if (smallestUnit !== null && !isWhole(interval, smallestUnit)) return cut;
      return fraction === match[9] || match[9] === undefined ? (value as string) : withFraction(match, fraction);
    },
  };
}

/** Null if a part, or an intermediate sum, is beyond what the server can hold. */
function intervalOf(match: RegExpExecArray, fraction: string): Interval | null {
  const [years, months, weeks, days] = match.slice(1, 5).map((text) => Number(text ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  const dates = [years, years * 12 + months, weeks * 7, weeks * 7 + days] as const;
  if (dates.some((part) => part > maxInt || part < -maxInt - 1)) return null;
  if ((match[8] ?? "").length > maxSecondDigits) return null;
  const size = BigInt(match[8] ?? 0) * second + BigInt(fraction.padEnd(microsecondDigits, "0"));
  const hours = BigInt(match[5] ?? 0) * 3600n * second;
  const minutes = hours + BigInt(match[6] ?? 0) * 60n * second;
  const microseconds = minutes + (match[7] === "-" ? -size : size);
  const isTooLong = (sum: bigint): boolean => sum > maxMicroseconds || sum < -maxMicroseconds;
  return [hours, minutes, microseconds].some(isTooLong) ? null : { months: dates[1], days: dates[3], microseconds };
}

/** The server silently cuts what is smaller than the unit, and keeps what is larger. */
function isWhole({ months, days, microseconds }: Interval, unit: IntervalUnit): boolean {
  if (unit === "minute") return microseconds % (60n * second) === 0n;
  if (unit === "hour") return microseconds % (3600n * second) === 0n;
  if (microseconds !== 0n) return false;
  if (unit === "day") return true;
  return days === 0 && (unit === "month" || months % 12 === 0);
}

/** Cuts zeros off the end: with them the number may be too long for a double, and the server would round it. */
function withFraction(match: RegExpExecArray, fraction: string): string {
  const written = `.${match[9]}S`;
  return `${match[0].slice(0, -written.length)}${fraction === "" ? "" : `.${fraction}`}S`;
}
