import { describe, expect, test } from "vitest";
import { bars, isMissed, judgeBars } from "../../bench/bars.ts";
import { median, type Results, rateRatio } from "../../bench/results.ts";
import { everything, nothing, scenario, series } from "./support.ts";

const verdictsOf = (results: Results, quick = false) => judgeBars(results, quick).map(({ verdict }) => verdict);

describe("ratios", () => {
  test("are taken round by round, and their median counts", () => {
    // Of the rates, in the rounds: 0.5, 2 and 1. The median of the times would say 1.33.
    const result = scenario("nine", series("ours", 10, 2, 6), series("copy", 5, 4, 6));
    expect(rateRatio(result, "ours", "copy")).toBe(1);
  });

  test("are by records, where one program loaded a sample", () => {
    const sample = { name: "each", samples: [{ seconds: 1, records: 50 }] };
    expect(rateRatio(scenario("nine", series("ours", 10), sample), "ours", "each")).toBe(2);
  });

  test("are none where one of the two was not measured", () => {
    expect(rateRatio(scenario("nine", series("ours", 10)), "ours", "copy")).toBeNull();
    expect(rateRatio(undefined, "ours", "copy")).toBeNull();
  });

  test.each([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[7], 7],
  ])("the median of %j is %d", (numbers, middle) => {
    expect(median(numbers)).toBe(middle);
  });
});

describe("bars", () => {
  test("show what was measured, beside the bar", () => {
    expect(judgeBars(everything, false).map(({ bar, measured }) => [measured, bar])).toEqual([
      ["0.70x", ">= 0.55x (stretch 0.8x)"],
      ["1.10x", ">= 1x (stretch 1.3x)"],
      ["20.00x", ">= 15x"],
      ["0.60x", ">= 0.55x (stretch 0.8x)"],
      ["1.20x", ">= 1x (stretch 1.3x)"],
      ["2.00x", ">= 1.8x"],
      ["2.00x", "<= 2x"],
      ["1.50x", "<= 2x"],
      ["0.99x", ">= 0.95x"],
      ["1.10x", "<= 1.2x"],
      ["121.00 MB", "<= 256 MB"],
      ["1.26 MB", "<= 1.5 MB"],
      ["3.00x", "<= 3x"],
    ]);
  });

  test("are held on their limit and beyond", () => {
    expect(new Set(verdictsOf(everything))).toEqual(new Set(["held"]));
    expect(isMissed(judgeBars(everything, false))).toBe(false);
  });

  test.each([
    ["nine", "a slow first load", [series("ours", 20), series("copy", 7), series("staged", 21)]],
    [
      "sorted",
      "a load in order that is slower than the staged script",
      [series("ours", 20), series("copy", 12), series("staged", 19)],
    ],
    ["redelivery", "a slow redelivery", [series("first", 10), series("unchanged", 6)]],
    ["audit", "a slow audit", [series("ours", 10), series("audited", 21)]],
    ["tenfold", "a larger load that is slower by more than its size", [series("ours", 110), series("copy", 80)]],
  ])("%s: %s misses one bar and no other", (name, _what, measured) => {
    const others = everything.scenarios.filter((result) => result.name !== name);
    const judged = judgeBars({ ...everything, scenarios: [...others, scenario(name, ...measured)] }, false);
    expect(judged.filter(({ verdict }) => verdict === "missed")).toHaveLength(1);
    expect(isMissed(judged)).toBe(true);
  });

  test("memory and bundles are missed by their size", () => {
    const [small, large] = everything.memory.map(({ bytes }) => bytes);
    const memory = [
      { bytes: small ?? 0, peakBytes: 110_000_000 },
      { bytes: large ?? 0, peakBytes: 257_000_000 },
    ];
    const bundles = [{ handler: "sweep", bytes: 1_510_000, importMilliseconds: 1, bareMilliseconds: 1 }];
    expect(verdictsOf({ ...everything, memory, bundles }).filter((verdict) => verdict === "missed")).toHaveLength(3);
  });

  test("one handler that imports slowly misses its bar, however fast the others are", () => {
    const slow = { handler: "migrate", bytes: 1, importMilliseconds: 91, bareMilliseconds: 30 };
    const judged = judgeBars({ ...everything, bundles: [...everything.bundles, slow] }, true);
    expect(judged.at(-1)).toMatchObject({ measured: "3.03x", verdict: "missed" });
  });

  test("name the flag that measures them where they were not measured", () => {
    const judged = judgeBars(nothing, false);
    expect(judged.map(({ verdict }) => verdict)).toEqual(bars.map(({ needs }) => `not measured (needs ${needs})`));
    expect(isMissed(judged)).toBe(false);
  });

  test("are not judged by few records, but for what does not depend on them", () => {
    const slow = { ...everything, scenarios: [scenario("nine", series("ours", 20), series("copy", 7))] };
    const verdicts = verdictsOf(slow, true);
    expect(verdicts[0]).toBe("not judged (--quick)");
    expect(verdicts.at(-1)).toBe("held");
  });
});
