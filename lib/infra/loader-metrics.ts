import { Duration } from "aws-cdk-lib";
import { type IMetric, MathExpression, Metric } from "aws-cdk-lib/aws-cloudwatch";
import { sweepIntervalMinutes } from "../core/durations.ts";
import { metricsNamespace, serviceName } from "../core/machine.ts";
import type { MetricName, metricCatalog } from "../core/metrics.ts";

/** The loader's own metrics in CloudWatch, as alarms and dashboard read them. */

/** Period of alarms and dashboard: the sweep emits what they show. */
export const period = Duration.minutes(sweepIntervalMinutes);

type NamesBy<By extends string> = {
  [Name in MetricName]: (typeof metricCatalog)[Name]["by"] extends By ? Name : never;
}[MetricName];

type Reading = {
  readonly statistic: "Sum" | "Maximum" | "Average";
  /** @default - the metric's name */
  readonly label?: string;
  /** @default the time between two sweeps */
  readonly period?: Duration;
};

export function loaderMetric(metricName: NamesBy<"service">, reading: Reading): Metric {
  return new Metric({
    namespace: metricsNamespace,
    metricName,
    dimensionsMap: { service: serviceName },
    period,
    ...reading,
  });
}

/** One metric for each function. */
export function taskMetrics(
  metricName: NamesBy<"task">,
  tasks: readonly string[],
  { statistic }: Pick<Reading, "statistic">,
): Metric[] {
  return tasks.map((task) => {
    const dimensionsMap = { service: serviceName, task };
    return new Metric({ namespace: metricsNamespace, metricName, dimensionsMap, statistic, period, label: task });
  });
}

/** The sum of some metrics; one that reports nothing counts as zero. */
export function sum(metrics: readonly IMetric[], label: string): MathExpression {
  const usingMetrics = Object.fromEntries(metrics.map((metric, index) => [`m${index}`, metric]));
  const expression = Object.keys(usingMetrics)
    .map((name) => `FILL(${name}, 0)`)
    .join(" + ");
  return new MathExpression({ expression, usingMetrics, period, label });
}

/** Failed batches in percent of those that ended; zero if none failed. */
export function failureRate(over: Duration): MathExpression {
  const usingMetrics = {
    failed: loaderMetric("BatchesFailed", { statistic: "Sum", period: over }),
    loaded: loaderMetric("BatchesLoaded", { statistic: "Sum", period: over }),
  };
  const expression = "IF(FILL(failed, 0) > 0, 100 * failed / (failed + FILL(loaded, 0)), 0)";
  return new MathExpression({ expression, usingMetrics, period: over, label: "failed batches" });
}
