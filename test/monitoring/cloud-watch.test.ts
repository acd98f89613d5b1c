import { expect, test } from "vitest";
import { isRaised, valuesOf } from "./cloud-watch.ts";
import type { Point } from "./emf.ts";
import type { Alarm, Series } from "./template.ts";

/** The stand-in for CloudWatch has to be right itself. */

const metric = (name: string) => ({ namespace: "N", name, dimensions: { a: "1", b: "2" } });
const point = (name: string, value: number): Point => ({
  ...metric(name),
  dimensions: { b: "2", a: "1" },
  unit: "Count",
  value,
  at: 0,
});
const series = (id: string, statistic: string): Series => ({
  id,
  label: id,
  visible: false,
  right: false,
  source: { metric: metric(id), statistic },
});
const expressed = (expression: string): Series => ({
  id: "result",
  label: "",
  visible: true,
  right: false,
  source: { expression },
});

test.each([
  ["Sum", 6],
  ["Maximum", 3],
  ["Minimum", 1],
  ["Average", 2],
  ["SampleCount", 3],
])("%s of 1, 2, 3 is %d", (statistic, expected) => {
  const points = [point("x", 1), point("x", 3), point("x", 2), point("other", 9)];
  expect(valuesOf([series("x", statistic)], points).get("x")).toBe(expected);
});

test.each([
  ["FILL(x, 0) + FILL(y, 7)", 12],
  ["x + y", Number.NaN],
  ["IF(FILL(y, 0) > 0, 1, 100 * x / (x + 15))", 25],
  ["SUM([x, FILL(y, 1)])", 6],
])("%s, where x is 5 and y is missing", (expression, expected) => {
  const values = valuesOf([series("x", "Sum"), series("y", "Sum"), expressed(expression)], [point("x", 5)]);
  expect(values.get("result")).toBe(expected);
});

const alarm: Alarm = {
  name: "A",
  description: "",
  series: [{ ...series("x", "Sum"), visible: true }],
  period: 300,
  evaluationPeriods: 3,
  datapointsToAlarm: 2,
  comparison: "GreaterThanOrEqualToThreshold",
  threshold: 1,
  missing: "notBreaching",
};
const some = [point("x", 1)];

test("an alarm needs so many of the last periods, and takes what is missing as it says", () => {
  expect(isRaised(alarm, [some, some, [], []])).toBe(false);
  expect(isRaised(alarm, [[], some, [], some])).toBe(true);
  expect(isRaised(alarm, [some])).toBe(false);
  expect(isRaised({ ...alarm, missing: "breaching" }, [some])).toBe(true);
});
