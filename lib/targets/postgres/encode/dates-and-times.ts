import type { ColumnType } from "../../../core/catalog.ts";
import type { ConversionOptions } from "../../../core/contract.ts";
import { type RejectCode, ValueReject } from "../../../core/rejects.ts";
import {
  civilDateOf,
  clockGroups,
  clockOf,
  commonClockForm,
  commonDateForm,
  dateGroups,
  dayNumber,
  firstDay,
  infinityOf,
  microsecondDigits,
  offsetGroups,
  offsetOf,
  offsetText,
  openZone,
} from "./calendar.ts";
import type { Conversion } from "./conversion.ts";

const common = new RegExp(`^${commonDateForm}$`);
const anyDate = new RegExp(`^${dateGroups}( BC)?$`);
const lastDay = dayNumber({ year: 5_874_897, month: 12, day: 31 });
const expected = "date: YYYY-MM-DD, from 4714-11-24 BC to 5874897-12-31";

const notDate = new ValueReject("VALUE_TYPE", expected);
const outOfRange = new ValueReject("VALUE_RANGE", expected);

export function dateConversion({ allowInfinity }: ConversionOptions): Conversion {
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string") return notDate;
      if (common.test(value)) return value;
      const match = anyDate.exec(value);
      if (match === null) return (allowInfinity && infinityOf(value)) || notDate;
      const date = civilDateOf(match.slice(1, 4), match[4] !== undefined);
      if (date === null) return outOfRange;
      const day = dayNumber(date);
      return day < firstDay || day > lastDay ? outOfRange : value;
    },
  };
}

const anyZonedTime = new RegExp(`^${clockGroups}${offsetGroups}$`);
const anyTime = new RegExp(`^${clockGroups}$`);

export function timeConversion(type: ColumnType): Conversion {
  const fractionDigits = type.fractionDigits ?? microsecondDigits;
  const reject = rejecter(`time: HH:MM or HH:MM:SS, at most ${fractionDigits} fraction digits, up to 24:00:00`);
  const common = new RegExp(`^${commonClockForm(fractionDigits)}$`);
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string") return reject("VALUE_TYPE");
      if (common.test(value)) return value;
      const match = anyTime.exec(value);
      if (match === null) return reject("VALUE_TYPE");
      const clock = clockOf(match.slice(1), fractionDigits);
      return typeof clock === "string" ? reject(clock) : clock.text;
    },
  };
}

/** A text without an offset is refused: the server would use that of the session's zone on the day of the load. */
export function timetzConversion(type: ColumnType): Conversion {
  const fractionDigits = type.fractionDigits ?? microsecondDigits;
  const reject = rejecter(
    `time with time zone: HH:MM:SS with Z or an offset below 16:00, at most ${fractionDigits} fraction digits`,
  );
  return {
    exact: true,
    convert: (value) => {
      const match = typeof value === "string" ? anyZonedTime.exec(value) : null;
      const offset = match === null ? null : offsetOf(match.slice(5, 10));
      if (match === null || offset === null) return reject("VALUE_TYPE");
      const clock = clockOf(match.slice(1, 5), fractionDigits);
      if (typeof clock === "string") return reject(clock);
      return offset === undefined ? reject("VALUE_RANGE") : clock.text + offsetText(offset);
    },
  };
}

const commonOffset = String.raw`(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)`;
const anyTimestamp = new RegExp(`^${dateGroups}(?:[Tt ]${clockGroups}${offsetGroups})?( BC)?$`);
const firstSecond = firstDay * 86_400;
const endSecond = dayNumber({ year: 294_277, month: 1, day: 1 }) * 86_400;

/** A timestamp as it was written; `local` is its seconds since 1970-01-01, as if the clock showed UTC. */
type Written = { readonly text: string; readonly era: string; readonly local: number; readonly offset: number | null };

export function timestampConversion(type: ColumnType, { allowInfinity }: ConversionOptions): Conversion {
  const fractionDigits = type.fractionDigits ?? microsecondDigits;
  const common = new RegExp(`^${commonDateForm}[T ]${commonClockForm(fractionDigits)}$`);
  const reject = rejecter(
    `timestamp: YYYY-MM-DD HH:MM:SS without an offset, at most ${fractionDigits} fraction digits, up to 294276-12-31`,
  );
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string") return reject("VALUE_TYPE");
      if (common.test(value)) return value;
      const written = readTimestamp(value, fractionDigits);
      if (written === "VALUE_TYPE") return (allowInfinity && infinityOf(value)) || reject(written);
      if (typeof written === "string") return reject(written);
      // The server would silently drop the offset.
      return written.offset === null ? written.text + written.era : reject("VALUE_TYPE");
    },
  };
}

/** @throws RangeError if `options.timezone` names no time zone */
export function timestamptzConversion(type: ColumnType, options: ConversionOptions): Conversion {
  const fractionDigits = type.fractionDigits ?? microsecondDigits;
  const form = `${commonDateForm}[T ]${commonClockForm(fractionDigits)}`;
  const withOffset = new RegExp(`^${form}${commonOffset}$`);
  const naive = new RegExp(`^${form}$`);
  const isUtc = options.timezone === "UTC";
  const localOffset = openZone(options.timezone);
  const reject = rejecter(
    `timestamp with time zone: YYYY-MM-DD HH:MM:SS with Z or an offset below 16:00, or without one for a time that ` +
      `${options.timezone} shows once, at most ${fractionDigits} fraction digits, up to 294276-12-31`,
  );
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string") return reject("VALUE_TYPE");
      if (withOffset.test(value)) return value;
      if (isUtc && naive.test(value)) return `${value}+00:00`;
      const written = readTimestamp(value, fractionDigits);
      if (written === "VALUE_TYPE") return (options.allowInfinity && infinityOf(value)) || reject(written);
      if (typeof written === "string") return reject(written);
      const offset = written.offset ?? localOffset(written.local);
      if (offset === null) return reject("VALUE_AMBIGUOUS");
      if (!isInRange(written.local - offset)) return reject("VALUE_RANGE");
      return written.text + offsetText(offset) + written.era;
    },
  };
}

function isInRange(seconds: number): boolean {
  return seconds >= firstSecond && seconds < endSecond;
}

function readTimestamp(value: string, fractionDigits: number): Written | RejectCode {
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

function rejecter(expected: string): (code: RejectCode) => ValueReject {
  return (code) => new ValueReject(code, expected);
}
