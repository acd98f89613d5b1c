import type { ColumnType } from "../catalog.ts";
import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";
import { clockGroups, clockOf, commonClockForm, microsecondDigits } from "./clock.ts";

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
