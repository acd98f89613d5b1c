import type { ColumnType } from "../catalog.ts";
import type { ConversionOptions } from "../contract.ts";
import type { Conversion } from "../conversion.ts";
import { Refusal, type RejectCode } from "../rejects.ts";
import { civilDateOf, commonDateForm, dateGroups, dayNumber, firstDay } from "./calendar.ts";
import { clockGroups, clockOf, commonClockForm, microsecondDigits } from "./clock.ts";
import { infinityOf } from "./infinity.ts";
import { offsetGroups, offsetOf } from "./offsets.ts";
import { offsetText, openZone } from "./zones.ts";

const commonOffset = String.raw`(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)`;
const anyTimestamp = new RegExp(`^${dateGroups}(?:[Tt ]${clockGroups}${offsetGroups})?( BC)?$`);
const firstSecond = firstDay * 86_400;
const endSecond = dayNumber({ year: 294_277, month: 1, day: 1 }) * 86_400;

/** A timestamp as it was written; `local` counts seconds as if the clock showed UTC. */
type Written = { readonly text: string; readonly era: string; readonly local: number; readonly offset: number | null };

export function timestampConversion(type: ColumnType, { allowInfinity }: ConversionOptions): Conversion {
  const fractionDigits = type.fractionDigits ?? microsecondDigits;
  const common = new RegExp(`^${commonDateForm}[T ]${commonClockForm(fractionDigits)}$`);
  const refuse = refuser(
    `timestamp: YYYY-MM-DD HH:MM:SS without an offset, at most ${fractionDigits} fraction digits, up to 294276-12-31`,
  );
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string") return refuse("VALUE_TYPE");
      if (common.test(value)) return value;
      const written = readTimestamp(value, fractionDigits);
      if (written === "VALUE_TYPE") return (allowInfinity && infinityOf(value)) || refuse(written);
      if (typeof written === "string") return refuse(written);
      // The server would drop the offset without a word.
      return written.offset === null ? written.text + written.era : refuse("VALUE_TYPE");
    },
  };
}

/** @throws RangeError where `options.timezone` names no zone */
export function timestamptzConversion(type: ColumnType, options: ConversionOptions): Conversion {
  const fractionDigits = type.fractionDigits ?? microsecondDigits;
  const form = `${commonDateForm}[T ]${commonClockForm(fractionDigits)}`;
  const withOffset = new RegExp(`^${form}${commonOffset}$`);
  const naive = new RegExp(`^${form}$`);
  const isUtc = options.timezone === "UTC";
  const localOffset = openZone(options.timezone);
  const refuse = refuser(
    `timestamp with time zone: YYYY-MM-DD HH:MM:SS with Z or an offset below 16:00, or without one for a time that ` +
      `${options.timezone} shows once, at most ${fractionDigits} fraction digits, up to 294276-12-31`,
  );
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string") return refuse("VALUE_TYPE");
      if (withOffset.test(value)) return value;
      if (isUtc && naive.test(value)) return `${value}+00:00`;
      const written = readTimestamp(value, fractionDigits);
      if (written === "VALUE_TYPE") return (options.allowInfinity && infinityOf(value)) || refuse(written);
      if (typeof written === "string") return refuse(written);
      const offset = written.offset ?? localOffset(written.local);
      if (offset === null) return refuse("VALUE_AMBIGUOUS");
      if (!isInRange(written.local - offset)) return refuse("VALUE_RANGE");
      return written.text + offsetText(offset) + written.era;
    },
  };
}

type Fault = Extract<RejectCode, "VALUE_TYPE" | "VALUE_RANGE" | "VALUE_PRECISION_LOSS" | "VALUE_AMBIGUOUS">;

function refuser(expected: string): (code: Fault) => Refusal {
  const refusals: Readonly<Record<Fault, Refusal>> = {
    VALUE_TYPE: new Refusal("VALUE_TYPE", expected),
    VALUE_RANGE: new Refusal("VALUE_RANGE", expected),
    VALUE_PRECISION_LOSS: new Refusal("VALUE_PRECISION_LOSS", expected),
    VALUE_AMBIGUOUS: new Refusal("VALUE_AMBIGUOUS", expected),
  };
  return (code) => refusals[code];
}

function isInRange(seconds: number): boolean {
  return seconds >= firstSecond && seconds < endSecond;
}

function readTimestamp(value: string, fractionDigits: number): Written | Fault {
  const match = anyTimestamp.exec(value);
  if (match === null) return "VALUE_TYPE";
  const beforeChrist = match[13] !== undefined;
  const date = civilDateOf(match.slice(1, 4), beforeChrist);
  const offset = offsetOf(match.slice(8, 13));
  if (date === null || offset === undefined) return "VALUE_RANGE";
  const clock = clockOf(match.slice(4, 8), fractionDigits);
  if (typeof clock === "string") return clock;
  const local = dayNumber(date) * 86_400 + clock.seconds;
  const text = `${match[1]}-${match[2]}-${match[3]} ${clock.text}`;
  return isInRange(local) ? { text, era: beforeChrist ? " BC" : "", local, offset } : "VALUE_RANGE";
}
