import { expect, test } from "vitest";
import { fitLine, type Point, valueAt } from "../../bench/scale/fit.ts";
import { parseStat } from "../../bench/scale/record.ts";

const points = (of: (fragments: number, records: number) => number): Point[] =>
  [
    [1, 1_000],
    [1, 30_000],
    [40, 4_000],
    [100, 30_000],
  ].map(([fragments = 0, records = 0]) => ({ fragments, records, value: of(fragments, records) }));

test("a line is found again, and tells the values between", () => {
  const line = fitLine(points((fragments, records) => 0.5 + 0.01 * fragments + 0.00002 * records));
  expect(line.base).toBeCloseTo(0.5, 6);
  expect(line.perFragment).toBeCloseTo(0.01, 6);
  expect(line.perRecord).toBeCloseTo(0.00002, 9);
  expect(valueAt(line, 10, 10_000)).toBeCloseTo(0.8, 6);
});

test("nothing becomes cheaper by having more of it", () => {
  const line = fitLine(points((fragments) => 2 - 0.01 * fragments));
  expect(Math.min(line.base, line.perFragment, line.perRecord)).toBe(0);
  expect(line.base).toBeGreaterThan(1);
});

test("a step that reads no records costs nothing by the record", () => {
  const line = fitLine(
    points((fragments, records) => 1 + fragments + records),
    false,
  );
  expect(line.perRecord).toBe(0);
});

test("a process's times are read from behind its name, which may hold anything", () => {
  // user 250, system 50, of ended children 100 and 20: in hundredths of a second
  const text = "77 (postgres: a) b) S 42 77 77 0 -1 4194560 1 2 3 4 250 50 100 20 20 0 1 0 5 6 7";
  expect(parseStat(text)).toEqual({ parent: 42, own: 3, ended: 1.2 });
});
