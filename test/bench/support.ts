import type { LoadResult, Results, ScenarioResult } from "../../bench/results.ts";

/** Results as a run would leave them, with figures that are easy to divide. */

const load: LoadResult = {
  seconds: 10,
  phases: { validate: 1, stage: 4, commit: 5 },
  waited: 0,
  archive: 2,
  workers: 1,
  workerPeak: 120_000_000,
  commitPeak: 90_000_000,
};

/** A series that took so many seconds for 1,000 records in each round. */
export function series(name: string, ...seconds: readonly number[]) {
  const samples = seconds.map((taken) => ({
    seconds: taken,
    records: 1_000,
    ...(name === "copy" || name === "staged" || name === "each" ? {} : { load }),
  }));
  return { name, samples };
}

export function scenario(name: string, ...all: ReturnType<typeof series>[]): ScenarioResult {
  return { name, title: `the scenario ${name}`, records: 1_000, bytes: 233_000, fragments: 1, series: all };
}

export const nothing: Results = { scenarios: [], memory: [], bundles: [] };

/** Every bar is measured, and held. */
export const everything: Results = {
  scenarios: [
    scenario(
      "nine",
      series("ours", 10, 12, 10),
      series("copy", 7, 6, 7),
      series("staged", 11, 30, 11),
      series("each", 200),
    ),
    scenario("sorted", series("ours", 10), series("copy", 6), series("staged", 12)),
    scenario("redelivery", series("first", 10), series("unchanged", 5)),
    scenario("audit", series("ours", 10), series("audited", 20)),
    scenario("audit-upsert", series("ours", 10), series("audited", 15)),
    scenario("onefold", series("ours", 10), series("copy", 8)),
    scenario("tenfold", series("ours", 100), series("copy", 79)),
  ],
  memory: [
    { bytes: 100_000_000, peakBytes: 110_000_000 },
    { bytes: 2_000_000_000, peakBytes: 121_000_000 },
  ],
  bundles: [
    { handler: "validate-batch", bytes: 1_240_000, importMilliseconds: 100, bareMilliseconds: 80 },
    { handler: "sweep", bytes: 1_260_000, importMilliseconds: 120, bareMilliseconds: 40 },
  ],
};
