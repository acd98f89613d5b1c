import type { ColumnType } from "../catalog.ts";
import type { Conversion } from "../conversion.ts";
import { Refusal } from "../rejects.ts";

const count = String.raw`-?\d{1,9}`;
const duration = new RegExp(
  `^P(?=.)(?:${count}Y)?(?:${count}M)?(?:${count}W)?(?:${count}D)?` +
    String.raw`(?:T(?=.)(?:${count}H)?(?:${count}M)?(?:${count}(?:\.\d{1,6})?S)?)?$`,
);
const notDuration = new Refusal(
  "VALUE_TYPE",
  "interval: an ISO 8601 duration of whole units, such as P1Y2M3DT4H5M6.7S",
);

/** Only the plain type: `interval day` or `interval(0)` would drop fields or digits without a word. */
export function intervalConversion(type: ColumnType): Conversion | null {
  if (type.sql !== "interval") return null;
  return {
    // The range of each field is left to the server.
    exact: false,
    convert: (value) => (typeof value === "string" && duration.test(value) ? value : notDuration),
  };
}
