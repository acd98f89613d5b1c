import fc from "fast-check";
import { expect, test } from "vitest";
import { offsetText, openZone } from "../../../lib/targets/postgres/encode/calendar.ts";
import { verdictOf } from "./column-types.ts";

const zones = [
  "America/New_York",
  "Europe/Dublin",
  "Asia/Kolkata",
  "Australia/Lord_Howe",
  "Africa/Casablanca",
  "America/St_Johns",
  "Pacific/Apia",
  "Africa/Freetown",
  "Asia/Tokyo",
];

/** What the zone's clocks show at an instant, by another route than the implementation's. */
function localSecondsOf(instant: number, timeZone: string): number {
  const fields = {
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  } as const;
  const format = new Intl.DateTimeFormat("en-US", { ...fields, timeZone, hourCycle: "h23", calendar: "iso8601" });
  const part = new Map(format.formatToParts(instant * 1000).map(({ type, value }) => [type, Number(value)]));
  const at = (name: Intl.DateTimeFormatPartTypes) => part.get(name) ?? 0;
  return Date.UTC(at("year"), at("month") - 1, at("day"), at("hour"), at("minute"), at("second")) / 1000;
}

for (const zone of zones) {
  test(`${zone}: a local time leads back to its instant, or is shown twice`, () => {
    const localOffset = openZone(zone);
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(1850, 0) / 1000, max: Date.UTC(2080, 0) / 1000 }), (instant) => {
        const local = localSecondsOf(instant, zone);
        const offset = localOffset(local);
        if (offset !== null) return local - offset === instant;
        const neighbours = [-86_400, 86_400].map((step) => localSecondsOf(instant + step, zone) - instant - step);
        return neighbours[0] !== neighbours[1];
      }),
      { numRuns: 300 },
    );
  });
}

test("around both changes of a year, minute by minute", () => {
  const minutes = Array.from({ length: 240 }, (_, minute) => minute);
  const at = (day: string, minute: number) =>
    verdictOf(
      "timestamptz",
      `${day} ${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`,
      {
        timezone: "America/New_York",
      },
    );
  const spring = minutes.filter((minute) => at("2024-03-10", minute) === "VALUE_AMBIGUOUS");
  const autumn = minutes.filter((minute) => at("2024-11-03", minute) === "VALUE_AMBIGUOUS");
  expect([spring.at(0), spring.at(-1), spring.length]).toEqual([120, 179, 60]);
  expect([autumn.at(0), autumn.at(-1), autumn.length]).toEqual([60, 119, 60]);
});

test("offsets are written with seconds only where there are any", () => {
  expect([0, 19_800, -18_000, -17_762].map(offsetText)).toEqual(["+00:00", "+05:30", "-05:00", "-04:56:02"]);
});

test("a zone that does not exist is an error", () => {
  expect(() => openZone("Mars/Olympus")).toThrow(RangeError);
});
