import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { countStacks } from "../../bench/cost/stack-counts.ts";
import type { ScaleResults } from "../../bench/scale/results.ts";
import { root } from "../support/sources.ts";

test("the cost page counts what the templates hold; npm run scale -- --render counts anew", () => {
  const results = JSON.parse(readFileSync(`${root}/docs/scale.json`, "utf8")) as ScaleResults;
  expect(results.stacks).toEqual(countStacks());
});
