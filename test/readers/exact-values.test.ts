import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ExactNumber } from "../../lib/core/json.ts";
import { isExactText, naiveParse, read, readExactText } from "./support.ts";

describe("readExactText", () => {
  it("reads any JSON as JSON.parse does, with every digit", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.constantFrom(0, 1, 3), (json, indent) => {
        const text = JSON.stringify(JSON.parse(json), null, indent);
        expect(readExactText(text)).toStrictEqual({ value: naiveParse(text), duplicate: null });
      }),
      { numRuns: 1_000 },
    );
    expect(readExactText(" [1.10 ,-0, 1e2\n,9007199254740993 ] ").value).toEqual(
      ["1.10", "-0", "1e2", "9007199254740993"].map((text) => new ExactNumber(text)),
    );
  });
});

describe("isExactText", () => {
  it.each([
    ['{"a":"\\n","b":"\\\\"}', false],
    ['{"a":"x\\":","b":1}', false],
    ['{"a":"\\\\","b":"\\\\"}', false],
    ['{"a\\u0062":1}', true],
    ['{"a":"\\n","\\"" \n:1}', true],
    ['{"a":{"\\\\":1}}', true],
    ['{"a":"\\', false],
    ["{}", false],
  ])("says of %s: %j", (text, expected) => {
    expect(isExactText(text)).toBe(expected);
  });
});

/** What V8 calls a name may depend on objects that it saw before: https://github.com/nodejs/node/issues/63785 */
describe("names that are written with escapes", () => {
  it.each([
    ["\\\\", "\\u00e9", "é"],
    ["\\\\", "\\n", "\n"],
    ["ab\\\\", "ab\\u0041", "abA"],
    ["\\\\u", "\\u0041b", "Ab"],
  ])("are read as they are after an object with %s", async (earlier, written, name) => {
    const before = JSON.stringify(JSON.parse(`"${earlier}"`));
    const head = `{"same":1,"head":2,`;
    for (const numbers of ["1", "1.10"]) {
      JSON.parse(`[${head}${before}:1}]`);
      await read(`[${head}${before}:1}]`);
      const { values } = await read(`[${head}"${written}":${numbers}}]`);
      expect(Object.keys(values[0] as object)).toEqual(["same", "head", name]);
    }
  });
});
