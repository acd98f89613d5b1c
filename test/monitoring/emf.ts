import { recordOutput } from "../canary/traces.ts";
import type { MetricId } from "./template.ts";

/** One measured value, as CloudWatch would take it from a line of the embedded format. */
export type Point = MetricId & { readonly unit: string; readonly value: number; readonly at: number };

type EmfLine = Readonly<Record<string, unknown>> & {
  readonly _aws: {
    readonly Timestamp: number;
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Dimensions: readonly (readonly string[])[];
      readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[];
    }[];
  };
};

/** Points that are measured during `work`, read from the stdout of this process. */
export async function recordPoints(work: () => Promise<unknown>): Promise<Point[]> {
  const { written } = await recordOutput(work);
  return parsePoints(written);
}

export function parsePoints(written: string): Point[] {
  const lines = written.split("\n").filter((line) => line.startsWith('{"_aws":'));
  return lines.flatMap((line) => toPoints(JSON.parse(line) as EmfLine));
}

/** A value that is a list stands for as many values. */
function toPoints(line: EmfLine): Point[] {
  const { Timestamp: at, CloudWatchMetrics } = line._aws;
  return CloudWatchMetrics.flatMap(({ Namespace: namespace, Dimensions, Metrics }) =>
    Dimensions.flatMap((names) => {
      const dimensions = Object.fromEntries(names.map((name) => [name, String(line[name])]));
      return Metrics.flatMap(({ Name: name, Unit: unit }) =>
        [line[name]].flat().map((value) => ({ namespace, name, dimensions, unit, value: Number(value), at })),
      );
    }),
  );
}

/** One text for a metric and its dimensions, whatever their order. */
export function keyOf({ namespace, name, dimensions }: MetricId): string {
  const pairs = Object.entries(dimensions).toSorted(([a], [b]) => a.localeCompare(b));
  return `${namespace} ${name} ${JSON.stringify(Object.fromEntries(pairs))}`;
}
