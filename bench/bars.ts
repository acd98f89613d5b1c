import { importRatio, type MemoryResult, type Results, rateRatio, type ScenarioResult } from "./results.ts";

/** The bars that the loader has to reach: ratios and sizes alone, since seconds belong to one machine. */

export type Verdict = "held" | "missed" | "not judged (--quick)" | `not measured (needs ${string})`;

export type Judged = {
  readonly name: string;
  readonly bar: string;
  /** The value as text; empty if there is none. */
  readonly measured: string;
  readonly verdict: Verdict;
};

type Bar = {
  readonly name: string;
  readonly least?: number;
  readonly most?: number;
  readonly stretch?: number;
  readonly unit: "x" | "MB";
  /** Null if it was not measured. */
  readonly measure: (results: Results) => number | null;
  /** The flag that measures it. */
  readonly needs: string;
  /** True if the few records of --quick are too few for a verdict. */
  readonly sized: boolean;
};

const megabyte = 1_000_000;
const largeObject = 1_900 * megabyte;

const of = ({ scenarios }: Results, name: string): ScenarioResult | undefined =>
  scenarios.find((scenario) => scenario.name === name);

const rate = (scenario: string, name: string, other: string) => (results: Results) =>
  rateRatio(of(results, scenario), name, other);

const object = ({ memory }: Results, isLarge: boolean): MemoryResult | undefined =>
  memory.find(({ bytes }) => bytes >= largeObject === isLarge);

const quotient = (above: number | null | undefined, below: number | null | undefined): number | null =>
  above == null || below == null ? null : above / below;

/** The bars of a first load against the two scripts for psql. */
function insertBars(scenario: string, load: string): readonly Bar[] {
  const shared = { unit: "x", needs: `--scenario ${scenario}`, sized: true } as const;
  return [
    {
      name: `${load}: rate of \`psql \\copy\``,
      least: 0.55,
      stretch: 0.8,
      measure: rate(scenario, "ours", "copy"),
      ...shared,
    },
    {
      name: `${load}: rate of the staged psql script`,
      least: 1,
      stretch: 1.3,
      measure: rate(scenario, "ours", "staged"),
      ...shared,
    },
  ];
}

export const bars: readonly Bar[] = [
  ...insertBars("nine", "insert-only load"),
  {
    name: "insert-only load: rate of a statement per row",
    least: 15,
    unit: "x",
    measure: rate("nine", "ours", "each"),
    needs: "--scenario nine",
    sized: true,
  },
  ...insertBars("sorted", "insert-only load, keys in order"),
  {
    name: "unchanged redelivery: rate of the first load",
    least: 1.8,
    unit: "x",
    measure: rate("redelivery", "unchanged", "first"),
    needs: "--scenario redelivery",
    sized: true,
  },
  {
    name: "row audit of new rows: time of the load without",
    most: 2,
    unit: "x",
    measure: rate("audit", "ours", "audited"),
    needs: "--scenario audit",
    sized: true,
  },
  {
    name: "row audit of changed rows: time of the load without",
    most: 2,
    unit: "x",
    measure: rate("audit-upsert", "ours", "audited"),
    needs: "--scenario audit-upsert",
    sized: true,
  },
  {
    name: "ten times the records: ratio to `\\copy` over that of the smaller load",
    least: 0.95,
    unit: "x",
    measure: (results) => quotient(rate("tenfold", "ours", "copy")(results), rate("onefold", "ours", "copy")(results)),
    needs: "--large",
    sized: true,
  },
  {
    name: "peak memory of a worker: 2 GB of JSON over 100 MB",
    most: 1.2,
    unit: "x",
    measure: (results) => quotient(object(results, true)?.peakBytes, object(results, false)?.peakBytes),
    needs: "--large",
    sized: false,
  },
  {
    name: "peak memory of a worker at 2 GB of JSON",
    most: 256,
    unit: "MB",
    measure: (results) => quotient(object(results, true)?.peakBytes, megabyte),
    needs: "--large",
    sized: false,
  },
  {
    name: "largest handler bundle",
    most: 1.5,
    unit: "MB",
    measure: ({ bundles }) => (bundles.length === 0 ? null : Math.max(...bundles.map(({ bytes }) => bytes)) / megabyte),
    needs: "a run without --scenario",
    sized: false,
  },
  {
    name: "cold import of a handler: that of an empty one with its SDK clients, the worst of all",
    most: 3,
    unit: "x",
    measure: ({ bundles }) => (bundles.length === 0 ? null : Math.max(...bundles.map(importRatio))),
    needs: "a run without --scenario",
    sized: false,
  },
];

/** @param quick true if there were too few records for bars that depend on their number */
export function judgeBars(results: Results, quick: boolean): Judged[] {
  return bars.map((bar) => {
    const value = bar.measure(results);
    return {
      name: bar.name,
      bar: expectation(bar),
      measured: value === null ? "" : `${value.toFixed(2)}${unitOf(bar)}`,
      verdict: verdictOf(bar, value, quick),
    };
  });
}

function verdictOf(bar: Bar, value: number | null, quick: boolean): Verdict {
  if (value === null) return `not measured (needs ${bar.needs})`;
  if (bar.sized && quick) return "not judged (--quick)";
  const { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY } = bar;
  return value >= least && value <= most ? "held" : "missed";
}

const unitOf = ({ unit }: Bar): string => (unit === "x" ? "x" : ` ${unit}`);

function expectation(bar: Bar): string {
  const unit = unitOf(bar);
  const limit = bar.least === undefined ? `<= ${bar.most}${unit}` : `>= ${bar.least}${unit}`;
  return bar.stretch === undefined ? limit : `${limit} (stretch ${bar.stretch}${unit})`;
}

export const isMissed = (judged: readonly Judged[]): boolean => judged.some(({ verdict }) => verdict === "missed");
