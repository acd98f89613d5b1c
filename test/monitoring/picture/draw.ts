import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { sweepIntervalMinutes } from "../../../lib/core/durations.ts";
import { synthesizeApp } from "../../infra/support/synthesize.ts";
import { isRaised, type Period } from "../cloud-watch.ts";
import { keyOf } from "../emf.ts";
import { type Alarm, alarmsOf, dashboardOf, metricsOfAlarm, metricsOfWidget, type Widget } from "../template.ts";
import { drawChart, type Timeline } from "./chart.ts";
import { asPoints, runForPicture } from "./run.ts";

/**
 * Draws docs/dashboard.svg: the widgets of the synthesized dashboard, where they stand in it, with what a run on this
 * machine measured. The run is short, so that a period is five seconds there and not five minutes.
 */

const batches = 45;
const periodSeconds = 5;
/** Pixels of a column and of a row of the dashboard's grid. */
const column = 64;
const row = 44;
const gap = 8;

const target = fileURLToPath(new URL("../../../docs/dashboard.svg", import.meta.url));

async function draw(): Promise<void> {
  // first the run: its memory shall not be that of the synthesis
  const run = await runForPicture(batches);
  const { pipeline } = synthesizeApp();
  const alarms = alarmsOf(pipeline);
  const { widgets } = dashboardOf(pipeline);
  const read = [...alarms.flatMap(metricsOfAlarm), ...widgets.flatMap(metricsOfWidget)];
  const foreign = read.filter(({ namespace }) => namespace !== "TableLoader");
  const unique = [...new Map(foreign.map((metric) => [keyOf(metric), metric])).values()];
  const points = [...run.points, ...asPoints(run.counted, unique)];
  const count = Math.ceil((run.end - run.start) / (periodSeconds * 1000));
  const periods: Period[] = Array.from({ length: count }, (_, index) =>
    points.filter(({ at }) => Math.floor((at - run.start) / (periodSeconds * 1000)) === index),
  );
  const drawn: string[] = [];
  for (const widget of widgets) drawn.push(await drawWidget(widget, { periods, seconds: periodSeconds }, alarms));
  const height = Math.max(...widgets.map((widget) => (widget.y + widget.height) * row)) + gap;
  writeFileSync(target, `${frame(drawn, { width: 24 * column + gap, height })}\n`);
}

function frame(parts: readonly string[], { width, height }: { width: number; height: number }): string {
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="DejaVu Sans, Arial, sans-serif">`;
  const title = "<title>The dashboard of Table Loader, drawn from its template and a run on one machine</title>";
  return [open, title, `<rect width="${width}" height="${height}" fill="#f2f3f3"/>`, ...parts, "</svg>"].join("\n");
}

async function drawWidget(widget: Widget, timeline: Timeline, alarms: readonly Alarm[]): Promise<string> {
  const [x, y] = [widget.x * column + gap, widget.y * row + gap];
  const box = { width: widget.width * column - gap, height: widget.height * row - gap };
  const body = await bodyOf(widget, { timeline, alarms, box });
  return `<g transform="translate(${x},${y})">${body}</g>`;
}

type Box = { readonly width: number; readonly height: number };
type Scene = { readonly timeline: Timeline; readonly alarms: readonly Alarm[]; readonly box: Box };

async function bodyOf(widget: Widget, { timeline, alarms, box }: Scene): Promise<string> {
  if (widget.type === "text") return drawText(widget.properties.markdown ?? "");
  if (widget.type === "alarm") return drawAlarms(widget.properties.title ?? "", { timeline, alarms, box });
  return drawChart(widget, timeline, box);
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function drawText(markdown: string): string {
  const lines = markdown.split("\n").map((line, index) => {
    const [, marks = "", text = ""] = /^(#*) ?(.*)$/.exec(line) ?? [];
    const size = marks === "#" ? 22 : marks === "" ? 13 : 16;
    const weight = marks === "" ? "normal" : "bold";
    const y = 24 + index * 26;
    return `<text x="4" y="${y}" font-size="${size}" font-weight="${weight}" fill="#16191f">${escaped(text.replaceAll("`", ""))}</text>`;
  });
  return lines.join("");
}

/** Each alarm's state after the last period; below it, in how many of the periods it was raised. */
function drawAlarms(title: string, { timeline, alarms, box }: Scene): string {
  const width = (box.width - gap) / alarms.length;
  const boxes = alarms.map((alarm, index) => {
    const states = timeline.periods.map((_, last) => isRaisedAt(alarm, timeline, last));
    const raised = states.filter(Boolean).length;
    const [fill, stroke] = states.at(-1) ? ["#fdf3f1", "#d13212"] : ["#f2f8f0", "#1d8102"];
    const word = states.at(-1) ? "in alarm" : "OK";
    const x = index * width + gap;
    return [
      `<rect x="${x}" y="34" width="${width - gap}" height="${box.height - 42}" rx="3" fill="${fill}" stroke="${stroke}"/>`,
      `<text x="${x + 10}" y="56" font-size="11" font-weight="bold" fill="#16191f">${alarm.name}</text>`,
      `<text x="${x + 10}" y="76" font-size="11" fill="${stroke}">${word}</text>`,
      `<text x="${x + 10}" y="94" font-size="10" fill="#545b64">raised in ${raised} of ${states.length}</text>`,
    ].join("");
  });
  const heading = `<text x="8" y="22" font-size="13" font-weight="bold" fill="#16191f">${title}</text>`;
  return `<rect width="${box.width}" height="${box.height}" fill="#ffffff"/>${heading}${boxes.join("")}`;
}

/** An alarm on an hour looks at twelve periods as at one. */
function isRaisedAt(alarm: Alarm, { periods }: Timeline, last: number): boolean {
  const length = alarm.period / (sweepIntervalMinutes * 60);
  const joined = Array.from({ length: alarm.evaluationPeriods }, (_, index) => {
    const end = last + 1 - (alarm.evaluationPeriods - 1 - index) * length;
    return periods.slice(Math.max(0, end - length), Math.max(0, end)).flat();
  });
  return isRaised(alarm, joined);
}

await draw();
