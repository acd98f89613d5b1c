import { describe, expect, test } from "vitest";
import { parseOptions, UsageEnd } from "../../bench/options.ts";

function endOf(...args: readonly string[]): UsageEnd {
  try {
    parseOptions(args);
  } catch (error) {
    if (error instanceof UsageEnd) return error;
    throw error;
  }
  throw new Error(`accepted: ${args.join(" ")}`);
}

describe("flags", () => {
  test("without any, three rounds of what bars stand on", () => {
    const options = parseOptions([]);
    expect(options.scenarios).toEqual(["nine", "sorted", "upsert", "redelivery", "audit", "audit-upsert"]);
    expect(options).toMatchObject({ records: null, runs: 3, chosen: false, ascending: false });
  });

  test("choose scenarios, sizes and rounds", () => {
    const options = parseOptions(["--scenario", "wide", "--scenario", "nine", "--records", "300000", "--runs", "1"]);
    expect(options).toMatchObject({ scenarios: ["wide", "nine"], records: 300_000, runs: 1, chosen: true });
  });

  test("--quick is small, and --large adds what takes long", () => {
    expect(parseOptions(["--quick"])).toMatchObject({ records: 50_000, runs: 1 });
    expect(parseOptions(["--large"]).scenarios.slice(-2)).toEqual(["onefold", "tenfold"]);
    expect(parseOptions(["--scenario", "all"]).scenarios).not.toContain("tenfold");
  });

  test("have records arrive in random order, unless --ascending asks otherwise", () => {
    expect(parseOptions(["--ascending"]).ascending).toBe(true);
    expect(parseOptions(["--scenario", "all"]).scenarios).toContain("sorted");
  });

  test("of Node are those that are deployed, or those that are given", () => {
    expect(parseOptions([]).nodeFlags).toEqual(["--max-semi-space-size=4", "--max-old-space-size=460"]);
    expect(parseOptions(["--node-options", ""]).nodeFlags).toEqual([]);
    const { nodeFlags } = parseOptions(["--node-options", "--max-semi-space-size=4 --expose-gc"]);
    expect(nodeFlags).toEqual(["--max-semi-space-size=4", "--expose-gc"]);
  });

  test.each([
    [["--bogus"], "unknown option '--bogus'"],
    [["--records", "0"], "expected a whole number from 1 to"],
    [["--records", "1e6"], "expected a whole number from 1 to"],
    [["--runs"], "argument missing"],
    [["--scenario", "ten"], "expected one of nine, sorted, narrow"],
    [["--quick", "--large"], "cannot be used with"],
    [["nine"], "too many arguments"],
  ])("%j is refused with 2", (args, text) => {
    const end = endOf(...args);
    expect(end.exitCode).toBe(2);
    expect(end.message).toContain(text);
    expect(end.message).toContain("see npm run bench -- --help");
  });

  test("--help ends with 0", () => {
    const end = endOf("--help");
    expect(end.exitCode).toBe(0);
    expect(end.message).toContain("--scenario <name>");
  });
});
