import { Metrics } from "@aws-lambda-powertools/metrics";
import type { MiddlewareObj } from "@middy/core";
import type { Context } from "aws-lambda";
import { metricsNamespace, serviceName } from "../core/machine.ts";
import { type Measures, type Metric, type MetricName, metricCatalog } from "../core/metrics.ts";
import { correlationIds } from "./telemetry.ts";

/** The only Powertools metrics: one JSON line in CloudWatch's embedded metric format for each set of dimensions. */

const metrics = new Metrics({ namespace: metricsNamespace, serviceName });

let isEnabled = true;
let isForced = false;

/** Metrics are lines on stdout for CloudWatch; without CloudWatch, as locally, they would only clutter the output. */
export function setMetricsEnabled(enabled: boolean): void {
  isEnabled = enabled;
}

/** Emits metrics on this machine, too, for tests and for the picture of the dashboard. */
export function forceMetrics(forced: boolean): void {
  isForced = forced;
}

/** Members of a line that name the invocation. They are no dimensions, so they multiply no metric. */
const properties = ["task", "batchId", "execution", "worker"];

/**
 * Writes measures at once, without a pause in between: locally several invocations share this process.
 *
 * @param task the state or function that they belong to, by default the current one
 */
export function emitMeasures(measures: Measures, task = String(correlationIds()["task"] ?? "")): void {
  if (!isEnabled && !isForced) return;
  const given = (Object.entries(measures) as [MetricName, number][]).map(([name, value]) => ({
    name,
    value,
    ...(metricCatalog[name] satisfies Metric),
  }));
  for (const by of ["service", "task"] as const) {
    const lines = given.filter((measured) => measured.by === by);
    if (lines.length === 0) continue;
    for (const { name, unit, value } of lines) metrics.addMetric(name, unit, Math.round(value * 1000) / 1000);
    const ids = { task, ...correlationIds() };
    if (by === "task") metrics.addDimension("task", task);
    for (const name of properties) {
      const id = ids[name as keyof typeof ids];
      if (id !== undefined && (by === "service" || name !== "task")) metrics.addMetadata(name, String(id));
    }
    metrics.publishStoredMetrics();
  }
}

const started = new Set<string>();
const kibibytesPerMebibyte = 1024;

/** Measures every invocation of a task, whether it succeeds or fails. */
export function measureTask(task: string): MiddlewareObj {
  const begun = new WeakMap<Context, number>();
  const ended = ({ context }: { context: Context }): void => {
    const megabytes = process.resourceUsage().maxRSS / kibibytesPerMebibyte;
    const limit = Number(context.memoryLimitInMB);
    const isCold = !started.has(task);
    started.add(task);
    const measures: Measures = {
      TaskSeconds: (performance.now() - (begun.get(context) ?? performance.now())) / 1000,
      MemoryMegabytes: megabytes,
      ...(limit > 0 && { MemoryUsed: (100 * megabytes) / limit }),
      ...(isCold && { ColdStarts: 1 }),
    };
    emitMeasures(measures, task);
  };
  return {
    before: ({ context }) => void begun.set(context, performance.now()),
    after: ended,
    onError: ended,
  };
}
