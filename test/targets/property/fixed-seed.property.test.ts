import fc from "fast-check";
import { expect, test } from "vitest";
import { holdsEverywhere } from "./properties.ts";

const cases = Number(process.env["ORACLE_CASES"] ?? 2000) / 2;

test("T01, C4, C5, D4, D5: random tables under random contracts, the same ones every time", async () => {
  const relations = fc.constant({ parent: false, self: false });
  expect(await holdsEverywhere({ relations, cases, seed: 20260101 })).toBeGreaterThanOrEqual(cases);
}, 600_000);
