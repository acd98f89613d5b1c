import { describe, expect, test } from "vitest";
import { judgeBars } from "../../bench/bars.ts";
import { type Profile, renderProfile } from "../../bench/profile.ts";
import { renderDocument, renderReport } from "../../bench/report.ts";
import { everything } from "./support.ts";

const facts = { date: "2026-07-14", machine: "2 cores" };
const report = { facts, judged: judgeBars(everything, false), results: everything };
const lines = renderReport(report).split("\n");

describe("the report", () => {
  test("begins with the bars", () => {
    expect(lines.slice(0, 5)).toEqual([
      "## Bars",
      "",
      "| what | bar | measured | verdict |",
      "|---|---|---|---|",
      "| insert-only load: rate of `psql \\copy` | >= 0.55x (stretch 0.8x) | 0.70x | held |",
    ]);
  });

  test("sets the loader against every program, ratios first", () => {
    expect(lines).toContain("1,000 records, 0 MB of JSON in 1 object");
    expect(lines).toContain("| program | Table Loader against it | records/s | s |");
    expect(lines).toContain("| Table Loader | 1.00x | 100 | 10.00 |");
    expect(lines).toContain("| `psql \\copy` into the table | 0.70x | 143 | 7.00 |");
  });

  test("tells the phases of our loads, and waits only where there were some", () => {
    const phases =
      "validate 1.00 s, stage 4.00 s with 1 worker, commit 5.00 s, then archive 2.00 s, " +
      "peak memory 120 MB of a worker, 90 MB of CommitBatch.";
    expect(lines).toContain(`Table Loader: ${phases}`);
    expect(lines).toContain(`Table Loader with row audit: ${phases}`);
  });

  test("ends with where it was taken", () => {
    expect(lines.slice(-4)).toEqual(["|  |  |", "|---|---|", "| date | 2026-07-14 |", "| machine | 2 cores |"]);
  });

  test("keeps a table in one piece, whatever a cell holds", () => {
    const odd = renderReport({ ...report, facts: { flags: "a|b" } });
    expect(odd.split("\n").at(-1)).toBe("| flags | a\\|b |");
  });

  test("is a page of its own with what the figures mean", () => {
    const page = renderDocument(report);
    expect(page.startsWith("# Performance\n\n")).toBe(true);
    expect(page).toContain("Only ratios compare");
    expect(page).toContain(lines.join("\n"));
  });
});

test("a profile shows the costliest first, with its share", () => {
  const [load] = everything.scenarios
    .flatMap(({ series }) => series.flatMap(({ samples }) => samples))
    .flatMap((sample) => sample.load ?? []);
  const cost = (name: string, milliseconds: number) => ({ name, milliseconds, times: 1 });
  const profile = {
    load,
    parts: [cost("lib/readers", 75), cost("zod", 25)],
    functions: [],
    statements: [],
  } as unknown as Profile;
  expect(renderProfile(profile)).toContain(
    "worker, processor time by part (100 ms)\n      75 ms  75.0 %  lib/readers\n      25 ms  25.0 %  zod",
  );
});
