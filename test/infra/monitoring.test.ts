import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { metricCatalog } from "../../lib/core/metrics.ts";
import { alarmsOf, type DashboardBody, dashboardOf, metricsOfAlarm, metricsOfWidget } from "../monitoring/template.ts";
import { root } from "../support/sources.ts";
import { synthesizeApp } from "./support/synthesize.ts";

/** Alarms and dashboard of the template, the runbook, and the page of metrics: each names what the others have. */

type Alarm = ReturnType<typeof alarmsOf>[number];
let alarms: readonly Alarm[];
let dashboard: DashboardBody;

beforeAll(() => {
  const { pipeline } = synthesizeApp();
  alarms = alarmsOf(pipeline);
  dashboard = dashboardOf(pipeline);
});

const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8");
const anchorOf = ({ description }: Alarm): string => /docs\/runbook\.md#([\w-]+)$/.exec(description)?.[1] ?? "";
const slugOf = (heading: string): string => heading.toLowerCase().replaceAll(" ", "-");

/** The text below each heading of the runbook, by the end of its link. */
const entries = new Map(
  read("docs/runbook.md")
    .split("\n## ")
    .slice(1)
    .map((part) => [slugOf(part.slice(0, part.indexOf("\n"))), part] as const),
);

describe("the runbook", () => {
  test("has one entry for each alarm: what it means, how to look, what to do", () => {
    expect(alarms).toHaveLength(9);
    const anchors = alarms.map(anchorOf);
    expect(new Set(anchors).size).toBe(alarms.length);
    for (const anchor of anchors) {
      const entry = entries.get(anchor) ?? "";
      for (const part of ["**Means:**", "**Look:**", "**Do:**"]) expect(entry, anchor).toContain(part);
    }
  });

  test("says of every other entry that no alarm leads there", () => {
    const known = new Set(alarms.map(anchorOf));
    const others = [...entries].filter(([anchor]) => !known.has(anchor));
    expect(others.map(([anchor]) => anchor)).toEqual([
      "waiting-batches",
      "failed-batches",
      "a-restored-database",
      "a-database-that-does-not-start-after-a-crash",
    ]);
  });
});

describe("docs/reference/metrics.md", () => {
  const rows = read("docs/reference/metrics.md")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

  const alarmsOn = (name: string): string[] =>
    alarms.filter((alarm) => metricsOfAlarm(alarm).some((metric) => metric.name === name)).map(anchorOf);
  const linksOf = (anchors: readonly string[]): string =>
    anchors.map((anchor) => `[${anchor.replaceAll("-", " ")}](../runbook.md#${anchor})`).join(", ");

  test("has every metric of the loader with unit, dimensions, emitters, meaning and alarm, in the list's order", () => {
    const own = rows.filter(([, unit]) => !unit?.startsWith("AWS/"));
    const expected = Object.entries(metricCatalog).map(([name, { unit, by, from, meaning }]) => [
      `\`${name}\``,
      unit,
      by === "task" ? "`service`, `task`" : "`service`",
      from.map((emitter) => (emitter.includes(" ") ? emitter : `\`${emitter}\``)).join(", "),
      meaning,
      linksOf(alarmsOn(name)),
    ]);
    expect(own).toEqual(expected);
  });

  test("has every metric of AWS that an alarm or a chart shows", () => {
    const used = [...alarms.flatMap(metricsOfAlarm), ...dashboard.widgets.flatMap(metricsOfWidget)];
    const foreign = used.filter(({ namespace }) => namespace !== "TableLoader");
    const named = rows
      .filter(([, namespace]) => namespace?.startsWith("AWS/"))
      .flatMap(([names = "", namespace]) =>
        names.split(", ").map((name) => `${namespace} ${name.replaceAll("`", "")}`),
      );
    expect(new Set(foreign.map(({ namespace, name }) => `${namespace} ${name}`))).toEqual(new Set(named));
  });
});

describe("the dashboard", () => {
  test("is one, shows the state of every alarm first, and overlaps nowhere", () => {
    expect(dashboard.widgets.filter(({ type }) => type === "alarm")).toHaveLength(1);
    const places = dashboard.widgets.flatMap(({ x, y, width, height }) =>
      Array.from({ length: width * height }, (_, index) => `${x + (index % width)},${y + Math.floor(index / width)}`),
    );
    expect(new Set(places).size).toBe(places.length);
  });

  test("shows every metric of the loader", () => {
    const shown = new Set(dashboard.widgets.flatMap(metricsOfWidget).map(({ name }) => name));
    expect(Object.keys(metricCatalog).filter((name) => !shown.has(name))).toEqual([]);
  });
});
