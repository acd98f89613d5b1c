import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { type Period, valuesOf } from "../cloud-watch.ts";
import { type Axis, seriesOf, type Widget } from "../template.ts";

/** One widget of the dashboard as a chart. */

export type Timeline = {
  readonly periods: readonly Period[];
  /** Seconds that each of them lasts. */
  readonly seconds: number;
};

const palette = ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
const alarmColor = "#d13212";

type Row = { readonly second: number; readonly series: string; readonly value: number };

function rowsOf(widget: Widget, { periods, seconds }: Timeline, right: boolean): Row[] {
  const series = seriesOf(widget);
  const shown = series.filter((one) => one.visible && one.right === right);
  return periods.flatMap((points, index) => {
    const values = valuesOf(series, points);
    return shown.flatMap(({ id, label }) => {
      const value = values.get(id) ?? Number.NaN;
      return Number.isNaN(value) ? [] : [{ second: index * seconds, series: label, value }];
    });
  });
}

type Box = { readonly width: number; readonly height: number };

/** The chart as SVG, with its title, a line for an alarm's threshold, and one or two axes. */
export async function drawChart(widget: Widget, timeline: Timeline, { width, height }: Box): Promise<string> {
  const labels = seriesOf(widget)
    .filter(({ visible }) => visible)
    .map(({ label }) => label);
  const color = {
    field: "series",
    type: "nominal",
    sort: null,
    scale: { domain: labels, range: palette },
    legend: legendOf(labels.length),
  };
  const sides = [false, true].map((right) => ({ right, rows: rowsOf(widget, timeline, right) }));
  const drawn = sides.filter(({ rows }, index) => index === 0 || rows.length > 0);
  const layers = drawn.map(({ right, rows }) => layerOf(widget, { right, rows, color, timeline }));
  const spec = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    width,
    height,
    autosize: { type: "fit", contains: "padding" },
    padding: 8,
    background: "#ffffff",
    title: { text: widget.properties.title ?? "", anchor: "start", fontSize: 13, color: "#16191f", offset: 8 },
    config: { font: "DejaVu Sans, Arial, sans-serif", view: { stroke: "#e9ebed" }, axis: axisStyle },
    layer: [...layers, ...thresholdsOf(widget)],
    resolve: { scale: { y: drawn.length > 1 ? "independent" : "shared" } },
  };
  const view = new View(parse(compile(spec as unknown as TopLevelSpec).spec), { renderer: "none" });
  return asGroup(await view.toSVG());
}

/** Names of functions are long: they get a smaller letter. */
function legendOf(count: number): object {
  const isLong = count > 7;
  const letters = { labelFontSize: isLong ? 8 : 10, symbolSize: isLong ? 25 : 40 };
  return { orient: "bottom", title: null, columns: count > 4 ? 3 : 4, labelLimit: 0, columnPadding: 8, ...letters };
}

/** A part of a larger picture: no document of its own, and without the roles that only a live chart has. */
function asGroup(svg: string): string {
  const body = svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "");
  return body.replaceAll(/ (?:role|class|aria-[a-z]+)="[^"]*"/g, "").replaceAll(/ pointer-events="none"/g, "");
}

const axisStyle = {
  gridColor: "#f2f3f3",
  domainColor: "#aab7b8",
  labelColor: "#545b64",
  titleColor: "#545b64",
  labelFontSize: 10,
  titleFontSize: 10,
  titleFontWeight: "normal",
  tickCount: 4,
};

type Layer = {
  readonly right: boolean;
  readonly rows: readonly Row[];
  readonly color: object;
  readonly timeline: Timeline;
};

function layerOf({ properties }: Widget, { right, rows, color, timeline }: Layer): object {
  const axis: Axis = (right ? properties.yAxis?.right : properties.yAxis?.left) ?? {};
  const last = timeline.periods.length * timeline.seconds;
  const most = mostOf(rows, properties.stacked ?? false);
  const limits = right ? [] : (properties.annotations?.horizontal ?? []).map(({ value }) => value);
  const scale = { domain: [axis.min ?? 0, axis.max ?? Math.max(1, 1.1 * Math.max(most, ...limits))], nice: true };
  const y = {
    field: "value",
    type: "quantitative",
    scale,
    stack: properties.stacked ? "zero" : null,
    axis: { title: axis.label ?? null, orient: right ? "right" : "left", format: "~s" },
  };
  const x = {
    field: "second",
    type: "quantitative",
    scale: { domain: [0, last], nice: false },
    axis: { title: null, labelExpr: "datum.value + ' s'" },
  };
  const line = { type: "line", interpolate: "linear", strokeWidth: 1.6, clip: true, point: { size: 14, filled: true } };
  const mark = properties.stacked ? { type: "area", opacity: 0.75, clip: true } : line;
  return { data: { values: rows }, mark, encoding: { x, y, color } };
}

function mostOf(rows: readonly Row[], stacked: boolean): number {
  const heights = stacked
    ? [...Map.groupBy(rows, ({ second }) => second).values()].map((at) => at.reduce((sum, { value }) => sum + value, 0))
    : rows.map(({ value }) => value);
  return Math.max(0, ...heights);
}

function thresholdsOf({ properties }: Widget): object[] {
  return (properties.annotations?.horizontal ?? []).flatMap(({ value }) => {
    const data = { values: [{ value, text: "alarm" }] };
    const y = { field: "value", type: "quantitative" };
    return [
      { data, mark: { type: "rule", color: alarmColor, strokeDash: [4, 3] }, encoding: { y } },
      {
        data,
        mark: { type: "text", color: alarmColor, align: "right", x: "width", dx: -4, dy: -6, fontSize: 9 },
        encoding: { y, text: { field: "text" } },
      },
    ];
  });
}
