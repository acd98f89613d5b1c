import type { ConversionOptions } from "../contract.ts";
import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";
import { civilDateOf, commonDateForm, dateGroups, dayNumber, firstDay } from "./calendar.ts";
import { infinityOf } from "./infinity.ts";

const common = new RegExp(`^${commonDateForm}$`);
const anyDate = new RegExp(`^${dateGroups}( BC)?$`);
const lastDay = dayNumber({ year: 5_874_897, month: 12, day: 31 });
const expected = "date: YYYY-MM-DD, from 4714-11-24 BC to 5874897-12-31";

const notDate = new Refusal("VALUE_TYPE", expected);
const outOfRange = new Refusal("VALUE_RANGE", expected);

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
