import { expect } from "vitest";
import type { Flow } from "./flow.ts";
import { brokenRules } from "./invariant-rules.ts";

/**
 * What holds whenever nothing runs, I1 to I7 of the cases, read from tables and bucket alone. Every query answers what
 * breaks the rule, so that a failing test names it.
 */
export async function expectInvariants({ sql, objects, json }: Flow): Promise<void> {
  expect(await brokenRules({ sql, keys: async (prefix) => objects(prefix), json })).toEqual({});
}
