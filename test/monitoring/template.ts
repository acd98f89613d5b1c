import { type CloudTemplate, resolveText } from "../../lib/infra/synthesize-machine.ts";

/** Alarms and dashboard as they stand in the synthesized template. */

/** A metric as CloudWatch knows it; dimensions by name. */
export type MetricId = {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
};

/** One series of an alarm or a widget: a metric with its statistic, or an expression over others. */
export type Series = {
  readonly id: string;
  readonly label: string;
  readonly visible: boolean;
  readonly right: boolean;
  readonly source: { readonly metric: MetricId; readonly statistic: string } | { readonly expression: string };
};

export type Alarm = {
  readonly name: string;
  readonly description: string;
  readonly series: readonly Series[];
  /** In seconds. */
  readonly period: number;
  readonly evaluationPeriods: number;
  readonly datapointsToAlarm: number;
  readonly comparison: string;
  readonly threshold: number;
  readonly missing: string;
};

type Properties = Readonly<Record<string, unknown>>;
type Dimension = { readonly Name: string; readonly Value: unknown };
type MetricQuery = {
  readonly Id: string;
  readonly Label?: string;
  readonly Expression?: string;
  readonly ReturnData: boolean;
  readonly MetricStat?: { readonly Metric: Properties; readonly Period: number; readonly Stat: string };
};

const resourcesOf = (template: CloudTemplate, type: string): Properties[] =>
  Object.values(template.Resources).flatMap(({ Type, Properties }) =>
    Type === type && Properties ? [Properties] : [],
  );

export function alarmsOf(template: CloudTemplate): Alarm[] {
  return resourcesOf(template, "AWS::CloudWatch::Alarm").map((properties) => {
    const queries = (properties["Metrics"] ?? [plainQuery(properties)]) as MetricQuery[];
    return {
      name: String(properties["AlarmName"]).replace(/^.*-/, ""),
      description: String(properties["AlarmDescription"]),
      series: queries.map((query) => toSeries(template, query)),
      period: queries.find(({ MetricStat }) => MetricStat)?.MetricStat?.Period ?? 0,
      evaluationPeriods: properties["EvaluationPeriods"] as number,
      datapointsToAlarm: properties["DatapointsToAlarm"] as number,
      comparison: String(properties["ComparisonOperator"]),
      threshold: properties["Threshold"] as number,
      missing: String(properties["TreatMissingData"]),
    };
  });
}

/** An alarm on one metric names it among its own properties. */
function plainQuery(properties: Properties): MetricQuery {
  const { Period, Statistic } = properties as { Period: number; Statistic: string };
  return { Id: "m", ReturnData: true, MetricStat: { Metric: properties, Period, Stat: Statistic } };
}

function toSeries(template: CloudTemplate, query: MetricQuery): Series {
  const { Id, Label = "", Expression = "", ReturnData, MetricStat } = query;
  const source = MetricStat
    ? { metric: toMetric(template, MetricStat.Metric), statistic: MetricStat.Stat }
    : { expression: Expression };
  return { id: Id, label: Label, visible: ReturnData, right: false, source };
}

function toMetric(template: CloudTemplate, { Namespace, MetricName, Dimensions }: Properties): MetricId {
  const dimensions = ((Dimensions ?? []) as Dimension[]).map(({ Name, Value }) => [Name, resolveText(template, Value)]);
  return { namespace: String(Namespace), name: String(MetricName), dimensions: Object.fromEntries(dimensions) };
}

export type Widget = {
  readonly type: "text" | "alarm" | "metric";
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly properties: {
    readonly markdown?: string;
    readonly title?: string;
    readonly stacked?: boolean;
    readonly metrics?: readonly (readonly unknown[])[];
    readonly annotations?: { readonly horizontal?: readonly { readonly value: number; readonly label: string }[] };
    readonly yAxis?: Readonly<Partial<Record<"left" | "right", Axis>>>;
  };
};

export type Axis = { readonly label?: string; readonly min?: number; readonly max?: number };

export type DashboardBody = { readonly widgets: readonly Widget[] };

export function dashboardOf(template: CloudTemplate): DashboardBody {
  const [dashboard, ...others] = resourcesOf(template, "AWS::CloudWatch::Dashboard");
  if (!dashboard || others.length > 0) throw new Error(`dashboards: got ${others.length + 1}, expected 1`);
  return JSON.parse(resolveText(template, dashboard["DashboardBody"])) as DashboardBody;
}

type Options = {
  readonly id?: string;
  readonly label?: string;
  readonly stat?: string;
  readonly expression?: string;
  readonly visible?: boolean;
  readonly yAxis?: string;
};

/** `["Namespace", "Name", "dimension", "value", ..., {options}]`, or `[{expression}]`, as a dashboard writes them. */
export function seriesOf({ properties }: Widget): Series[] {
  return (properties.metrics ?? []).map((row, index) => {
    const options = (typeof row.at(-1) === "object" ? row.at(-1) : {}) as Options;
    const [namespace = "", name = "", ...pairs] = row.filter((part) => typeof part === "string");
    const dimensions: Record<string, string> = {};
    for (let at = 0; at + 1 < pairs.length; at += 2) dimensions[pairs[at] as string] = pairs[at + 1] as string;
    const metric = { namespace, name, dimensions };
    return {
      id: options.id ?? `series${index}`,
      label: options.label ?? name,
      visible: options.visible ?? true,
      right: options.yAxis === "right",
      source: options.expression
        ? { expression: options.expression }
        : { metric, statistic: options.stat ?? "Average" },
    };
  });
}

const metricsIn = (series: readonly Series[]): MetricId[] =>
  series.flatMap(({ source }) => ("metric" in source ? [source.metric] : []));

export const metricsOfAlarm = ({ series }: Alarm): MetricId[] => metricsIn(series);
export const metricsOfWidget = (widget: Widget): MetricId[] => metricsIn(seriesOf(widget));
