import { all, create } from "mathjs";
import { keyOf, type Point } from "./emf.ts";
import type { Alarm, Series } from "./template.ts";

/** What CloudWatch makes of points: statistics, metric math and the state of an alarm. mathjs reads the expressions. */

/** The points of one period; a metric without any is missing in it. */
export type Period = readonly Point[];

/** No value. It goes through arithmetic as CloudWatch's missing data does. */
const missing = Number.NaN;

const math = create(all ?? {});
math.import(
  {
    FILL: (value: number, instead: number) => (Number.isNaN(value) ? instead : value),
    IF: (condition: unknown, one: number, other: number) => (Number(condition) === 0 ? other : one),
    SUM: (values: { toArray(): number[] }) => values.toArray().reduce((sum, value) => sum + value, 0),
  },
  { override: true },
);

const statistics: Readonly<Record<string, (values: readonly number[]) => number>> = {
  Sum: (values) => values.reduce((sum, value) => sum + value, 0),
  Maximum: (values) => Math.max(...values),
  Minimum: (values) => Math.min(...values),
  Average: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  SampleCount: (values) => values.length,
};

/** The value of each series in a period, by the series' id; NaN where it is missing. */
export function valuesOf(series: readonly Series[], points: Period): Map<string, number> {
  const values = new Map(series.map(({ id, source }) => [id, statisticOf(source, points)]));
  for (const { id, source } of series) {
    if ("expression" in source) values.set(id, Number(math.evaluate(source.expression, new Map(values))));
  }
  return values;
}

function statisticOf(source: Series["source"], points: Period): number {
  if ("expression" in source) return missing;
  const key = keyOf(source.metric);
  const values = points.filter((point) => keyOf(point) === key).map(({ value }) => value);
  const statistic = statistics[source.statistic];
  if (!statistic) throw new Error(`statistic: got ${source.statistic}, expected one of ${Object.keys(statistics)}`);
  return values.length === 0 ? missing : statistic(values);
}

const comparisons: Readonly<Record<string, (value: number, threshold: number) => boolean>> = {
  GreaterThanThreshold: (value, threshold) => value > threshold,
  GreaterThanOrEqualToThreshold: (value, threshold) => value >= threshold,
  LessThanThreshold: (value, threshold) => value < threshold,
  LessThanOrEqualToThreshold: (value, threshold) => value <= threshold,
};

/** Whether the alarm is raised at the end of these periods, the oldest first; what lies before them is missing. */
export function isRaised(alarm: Alarm, periods: readonly Period[]): boolean {
  const last = Array.from({ length: alarm.evaluationPeriods }, (_, index) =>
    periods.at(index - alarm.evaluationPeriods),
  );
  const breaching = last.filter((points) => isBreaching(alarm, points ?? []));
  return breaching.length >= alarm.datapointsToAlarm;
}

function isBreaching({ series, comparison, threshold, missing: treatment }: Alarm, points: Period): boolean {
  const answered = series.filter(({ visible }) => visible);
  const [returned] = answered;
  if (!returned || answered.length > 1) throw new Error(`alarm: got ${answered.length} results, expected 1`);
  const value = valuesOf(series, points).get(returned.id) ?? missing;
  if (Number.isNaN(value)) return isMissingBreaching(treatment);
  const compare = comparisons[comparison];
  if (!compare) throw new Error(`comparison: got ${comparison}, expected one of ${Object.keys(comparisons)}`);
  return compare(value, threshold);
}

function isMissingBreaching(treatment: string): boolean {
  if (treatment === "breaching") return true;
  if (treatment === "notBreaching") return false;
  throw new Error(`treatment of missing data: got ${treatment}, expected breaching or notBreaching`);
}
