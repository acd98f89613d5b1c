import fc from "fast-check";
import { expect, test } from "vitest";
import { civilDateOf, dayNumber } from "../../../lib/targets/postgres/encode/calendar.ts";
import { verdictOf } from "./column-types.ts";

const two = (value: number) => String(value).padStart(2, "0");
const dateText = (year: number, month: number, day: number) =>
  `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;

/** Date.UTC reads the years 0 to 99 as 1900 to 1999. */
function utcDay(year: number, month: number, day: number): Date {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date;
}

test("a date is taken if and only if the calendar has it", () => {
  fc.assert(
    fc.property(fc.nat(9999), fc.nat(13), fc.nat(32), (year, month, day) => {
      const text = dateText(year, month, day);
      const date = utcDay(year, month, day);
      const exists = year > 0 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
      return verdictOf("date", text) === (exists ? text : "VALUE_RANGE");
    }),
    { numRuns: 3_000 },
  );
});

test("day numbers agree with Date, before Christ too", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -4713, max: 275_000 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 28 }),
      (year, month, day) => {
        return dayNumber({ year, month, day }) === utcDay(year, month, day).getTime() / 86_400_000;
      },
    ),
    { numRuns: 2_000 },
  );
});

test("every month of a leap year and of a common year has its last day", () => {
  for (const year of ["2023", "2024", "1900", "2000"]) {
    for (let month = 1; month <= 12; month += 1) {
      const last = utcDay(Number(year), month + 1, 0).getUTCDate();
      expect(civilDateOf([year, two(month), String(last)], false)).not.toBeNull();
      expect(civilDateOf([year, two(month), String(last + 1)], false)).toBeNull();
    }
  }
});
