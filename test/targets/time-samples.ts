import fc from "fast-check";
import type { Samples } from "./sample.ts";

/** Dates, times and durations, with what the server has to show for them by JavaScript's Date or by arithmetic. */

const two = (value: number): string => String(value).padStart(2, "0");
const trimmed = (micros: number): string =>
  micros === 0 ? "" : `.${String(micros).padStart(6, "0").replace(/0+$/, "")}`;
const sixDigits = fc.oneof(fc.constant(0), fc.nat(999_999));

/** Every day has its place: the last of them may be missing in the month, so days end at 28 where it matters. */
const dates: Samples["values"] = fc
  .tuple(
    fc.integer({ min: 1, max: 5_874_897 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 28 }),
    fc.nat(3),
  )
  .map(([year, month, day, kind]) => {
    const written = kind === 0 ? year : kind === 1 ? (year % 4712) + 1 : (year % 9999) + 1;
    const text = `${String(written).padStart(4, "0")}-${two(month)}-${two(day)}${kind === 1 ? " BC" : ""}`;
    return { input: text, same: text };
  });

const second = fc.nat(86_399);
const clockText = (seconds: number, micros: number): string =>
  `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${trimmed(micros)}`;
const times: Samples["values"] = fc.tuple(second, sixDigits, fc.boolean()).map(([seconds, micros, isLong]) => {
  const same = clockText(seconds, micros);
  return { input: isLong && micros > 0 ? `${same}000` : same, same };
});

/** Minutes east of UTC as they are written and as the server shows them. */
const offsetTexts = (minutes: number): readonly [written: string, shown: string] => {
  const size = Math.abs(minutes);
  const [sign, hours, rest] = [minutes < 0 ? "-" : "+", two(Math.floor(size / 60)), two(size % 60)];
  return [`${sign}${hours}${size % 2 ? ":" : ""}${rest}`, `${sign}${hours}${rest === "00" ? "" : `:${rest}`}`];
};
const offset = fc.integer({ min: -959, max: 959 });
const zonedTimes: Samples["values"] = fc.tuple(second, sixDigits, offset).map(([seconds, micros, minutes]) => {
  const [written, shown] = offsetTexts(minutes);
  return { input: clockText(seconds, micros) + written, same: clockText(seconds, micros) + shown };
});

/** Milliseconds of the years 2 to 9998, so that no offset leaves the years that Date writes with four digits. */
const instant = fc.integer({ min: Date.UTC(100, 0) - 3.09e12, max: Date.UTC(9998, 0) });
const dateTime = (milliseconds: number): string => new Date(milliseconds).toISOString().slice(0, 19);
const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000) * 1000;
const naive: Samples["values"] = fc.tuple(instant, sixDigits, fc.boolean()).map(([milliseconds, micros, isIso]) => {
  const text = dateTime(seconds(milliseconds));
  const same = text.replace("T", " ") + trimmed(micros);
  return { input: isIso ? text + trimmed(micros) : same, same };
});
const zoned: Samples["values"] = fc.tuple(instant, sixDigits, offset).map(([milliseconds, micros, minutes]) => {
  const at = seconds(milliseconds);
  const local = dateTime(at + minutes * 60_000) + trimmed(micros);
  const [written] = offsetTexts(minutes);
  const same = `${dateTime(at).replace("T", " ")}${trimmed(micros)}+00`;
  return { input: minutes === 0 ? `${local}Z` : local + written, same };
});

const unit = (most: number) => fc.integer({ min: -most, max: most });
const durations: Samples["values"] = fc
  .tuple(
    unit(9_999),
    unit(99),
    unit(99_999),
    unit(9_999_999),
    unit(999),
    fc.integer({ min: -59_999_999, max: 59_999_999 }),
  )
  .map(([years, months, days, hours, minutes, micros]) => {
    const size = Math.abs(micros);
    const rest = `${micros < 0 ? "-" : ""}${Math.floor(size / 1e6)}${trimmed(size % 1e6)}`;
    const total = (BigInt(hours) * 3600n + BigInt(minutes) * 60n) * 1_000_000n + BigInt(micros);
    const input = `P${years}Y${months}M${days}DT${hours}H${minutes}M${rest}S`;
    return { input, same: shownDuration(years * 12 + months, days, total) };
  });

/** PostgreSQL's own style: what follows a negative part and is positive has a plus sign. */
function shownDuration(months: number, days: number, micros: bigint): string {
  const parts: string[] = [];
  let isBehindNegative = false;
  const add = (value: number, name: string): void => {
    if (value === 0) return;
    parts.push(`${isBehindNegative && value > 0 ? "+" : ""}${value} ${name}${value === 1 ? "" : "s"}`);
    isBehindNegative = value < 0;
  };
  add(Math.trunc(months / 12), "year");
  add(months % 12, "mon");
  add(days, "day");
  if (micros === 0n && parts.length > 0) return parts.join(" ");
  const size = micros < 0n ? -micros : micros;
  const [whole, fraction] = [size / 1_000_000n, Number(size % 1_000_000n)];
  const clock = [whole / 3600n, (whole / 60n) % 60n, whole % 60n]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
  const sign = micros < 0n ? "-" : isBehindNegative ? "+" : "";
  return [...parts, sign + clock + trimmed(fraction)].join(" ");
}

export const timeSamples: readonly Samples[] = [
  { type: "date", values: dates },
  { type: "time", values: times },
  { type: "timetz", values: zonedTimes },
  { type: "timestamp", values: naive },
  { type: "timestamptz", values: zoned },
  { type: "interval", values: durations },
];
