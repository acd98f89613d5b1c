import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PermanentError } from "../../lib/core/errors.ts";
import type { JsonValue } from "../../lib/core/json.ts";
import { findSyntaxFault } from "../../lib/readers/json/syntax.ts";
import { naiveParse, readFrom, storeOf } from "./support.ts";

/** JSON, and JSON with some characters taken out, put in or replaced. */
const signs = ["", "{", "}", "[", "]", '"', ",", ":", "\\", "\n", "\u0001", "\ufeff", "é"];
const tokens = ["0", "-", ".", "e", "nul", "1.10", "-01e2", "9007199254740993", '"\\u0001"', '"a":', '{"a":1.10}'];
const pieces = fc.constantFrom(...signs, ...tokens);
const damage = fc.tuple(fc.nat(), fc.nat({ max: 2 }), pieces);
const text = fc.tuple(fc.json({ maxDepth: 4 }), fc.array(damage, { maxLength: 3 })).map(([json, damages]) =>
  damages.reduce((all, [at, removed, piece]) => {
    const index = at % (all.length + 1);
    return all.slice(0, index) + piece + all.slice(index + removed);
  }, json),
);

function isJson(candidate: string): boolean {
  try {
    JSON.parse(candidate);
    return true;
  } catch {
    return false;
  }
}

describe("findSyntaxFault", () => {
  it("finds a fault exactly where JSON.parse refuses", () => {
    fc.assert(
      fc.property(text, (candidate) => {
        const fault = findSyntaxFault(Buffer.from(candidate), 1_000);
        expect(fault === null).toBe(isJson(candidate));
      }),
      { numRuns: 5_000 },
    );
  });

  it("says incomplete exactly where something could still follow", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.nat(), (json, at) => {
        const cut = Buffer.from(json).subarray(0, at % json.length);
        const fault = findSyntaxFault(cut, 1_000);
        if (fault !== null) expect(fault.kind).toBe("incomplete");
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("a damaged fragment", () => {
  it("is refused with a place, or is still JSON; never anything else", async () => {
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 9 }), async (damaged, chunk) => {
        const content = `{"records":[{"a":1},{"b":${damaged}}]}`;
        const reading = readFrom(storeOf({ body: Buffer.from(content), chunkSizes: [chunk] }));
        const outcome = await reading.catch((error: unknown) => error as PermanentError);
        if (isJson(content) && Object.keys(JSON.parse(content)).join() === "records") {
          if (outcome instanceof PermanentError) return expect(outcome.code).toBe("JSON_SHAPE");
          const expected = (naiveParse(content) as { records: JsonValue[] }).records;
          expect(outcome.groups.flatMap((group) => group.records.map(({ value }) => value))).toStrictEqual(expected);
          return;
        }
        if (!(outcome instanceof PermanentError)) throw new Error("read what is no JSON", { cause: outcome });
        expect(outcome.code).toMatch(/^JSON_(SYNTAX|TRUNCATED|SHAPE)$/);
        expect(outcome.details.offset).toBeLessThanOrEqual(Buffer.byteLength(content));
      }),
      { numRuns: 1_500 },
    );
  });
});
