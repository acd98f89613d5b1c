import type { ColumnType } from "../catalog.ts";
import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";
import { clockGroups, clockOf, commonClockForm, microsecondDigits } from "./clock.ts";
import { offsetGroups, offsetOf } from "./offsets.ts";
import { offsetText } from "./zones.ts";

const anyZonedTime = new RegExp(`^${clockGroups}${offsetGroups}$`);
const anyTime = new RegExp(`^${clockGroups}$`);

export function timeConversion(type: ColumnType): Conversion {
  const fractionDigits = type.fractionDigits ?? microsecondDigits;
  const expected = `time: HH:MM or HH:MM:SS, at most ${fractionDigits} fraction digits, up to 24:00:00`;
  const notTime = new Refusal("VALUE_TYPE", expected);
  const refusals = {
    VALUE_RANGE: new Refusal("VALUE_RANGE", expected),
    VALUE_PRECISION_LOSS: new Refusal("VALUE_PRECISION_LOSS", expected),
  };
  const common = new RegExp(`^${commonClockForm(fractionDigits)}$`);
  return {
    exact: true,
    convert: (value) => {
      if (typeof value !== "string") return notTime;
      if (common.test(value)) return value;
      const match = anyTime.exec(value);
      if (match === null) return notTime;
      const clock = clockOf(match.slice(1), fractionDigits);
      return typeof clock === "string" ? refusals[clock] : clock.text;
    },
  };
}

/** The offset has to be written: the server would take that of the session's zone on the day of the load. */
export function timetzConversion(type: ColumnType): Conversion {
  const fractionDigits = type.fractionDigits ?? microsecondDigits;
  const expected = `time with time zone: HH:MM:SS with Z or an offset below 16:00, at most ${fractionDigits} fraction digits`;
  const notTime = new Refusal("VALUE_TYPE", expected);
  const outOfRange = new Refusal("VALUE_RANGE", expected);
  const rounded = new Refusal("VALUE_PRECISION_LOSS", expected);
  return {
    exact: true,
    convert: (value) => {
      const match = typeof value === "string" ? anyZonedTime.exec(value) : null;
      const offset = match === null ? null : offsetOf(match.slice(5, 10));
      if (match === null || offset === null) return notTime;
      const clock = clockOf(match.slice(1, 5), fractionDigits);
      if (clock === "VALUE_PRECISION_LOSS") return rounded;
      return clock === "VALUE_RANGE" || offset === undefined ? outOfRange : clock.text + offsetText(offset);
    },
  };
}
