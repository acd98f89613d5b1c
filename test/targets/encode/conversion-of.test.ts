import { expect, test } from "vitest";
import type { ColumnType } from "../../../lib/core/catalog.ts";
import { defaultConversionOptions } from "../../../lib/core/contract.ts";
import { ValueReject } from "../../../lib/core/rejects.ts";
import { conversionOf, supportedTypes, unsupportedTypes } from "../../../lib/targets/postgres/encode/conversion-of.ts";
import { columnOfType, columnTypeOf } from "./column-types.ts";
import { verdicts } from "./verdicts.ts";

const conversionFor = (type: ColumnType) => conversionOf(columnOfType(type), defaultConversionOptions);
const refusalOf = (type: string, input: string | number) => {
  const refusal = conversionFor(columnTypeOf(type)).convert(input);
  return refusal instanceof ValueReject ? refusal.expected : refusal;
};

for (const name of [...unsupportedTypes.keys(), "public.mytype", "constructor"]) {
  test(`${name} is refused before anything is read, and the message says what to do`, () => {
    const type: ColumnType = { ...columnTypeOf("text"), name, sql: name };
    const listed: ColumnType = { ...columnTypeOf("text[]"), sql: `${name}[]`, element: type };
    const bounded: ColumnType = { ...columnTypeOf("text"), sql: "r", range: { bound: type, isMultirange: false } };
    const advice = unsupportedTypes.get(name) ?? "use a text column";
    for (const refused of [type, listed, bounded, { ...type, domain: "d", sql: "d" }]) {
      const fault = { code: "TABLE_UNSUPPORTED", details: { column: "value", type: refused.sql } };
      expect(() => conversionFor(refused)).toThrow(expect.objectContaining(fault));
      expect(() => conversionFor(refused)).toThrow(
        `column value has type ${refused.sql}, which cannot be loaded: ${advice}`,
      );
    }
  });
}

test("no type is both supported and refused", () => {
  expect(supportedTypes.filter((name) => unsupportedTypes.has(name))).toEqual([]);
});

test("only conversions whose own check is complete are exact", () => {
  const types = [...new Set(verdicts.map(({ type }) => type))];
  const inexact = types.filter((type) => !conversionFor(columnTypeOf(type)).exact);
  expect(inexact.filter((type) => !type.includes("range"))).toEqual(["citext"]);
  expect(types.filter((type) => type.includes("range") && !inexact.includes(type))).toEqual([]);
  expect(conversionFor(columnTypeOf("citext[]")).exact).toBe(false);
});

test("every supported type has its examples, at least twelve of them", () => {
  const counts = new Map<string, number>();
  for (const { type } of verdicts) {
    const { name } = columnTypeOf(type);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  expect(supportedTypes.filter((name) => (counts.get(name) ?? 0) < 12)).toEqual([]);
});

test("a JSON array is one element where the element is a domain over an array", () => {
  const pair = { ...columnTypeOf("integer[]"), sql: "pair", domain: "pair" };
  const pairs = conversionFor({ ...columnTypeOf("integer[]"), element: pair });
  expect(pairs.convert([[1, 2], [3], null])).toBe('{"{1,2}","{3}",NULL}');
});

test("a domain converts as its base type, and is left to the server", () => {
  const volume = { ...columnTypeOf("numeric(6,2)"), sql: "volume", domain: "volume" };
  expect(conversionFor(volume).exact).toBe(false);
  expect(conversionFor(volume).convert("1.10")).toBe("1.10");
  const list: ColumnType = { ...columnTypeOf("numeric(6,2)[]"), element: volume };
  expect(conversionFor(list).exact).toBe(false);
});

test("a refusal says what would be right", () => {
  expect(refusalOf("integer", 2147483648)).toBe("integer from -2147483648 to 2147483647");
  expect(refusalOf("numeric(6,2)", "12,5")).toBe("numeric(6,2): at most 4 digits before and 2 after the point");
  expect(refusalOf("numeric(3,-2)", 1)).toBe("numeric(3,-2): multiples of 1e2, at most 5 digits");
  expect(refusalOf("varchar(3)", "abcd")).toBe("character varying(3): at most 3 characters");
  expect(refusalOf("boolean", "on")).toBe(
    'boolean: true, false, or one of "true", "yes", "t", "1", "false", "no", "f", "0"',
  );
  expect(refusalOf("mood", "x")).toMatch(/^exactly one of "sad", "ok", /);
});

test("a long enum shows its first 20 labels", () => {
  const enumLabels = Array.from({ length: 25 }, (_, index) => `label ${index}`);
  const refusal = conversionFor({ ...columnTypeOf("mood"), enumLabels }).convert("none");
  expect(refusal).toMatchObject({ code: "VALUE_ENUM", expected: expect.stringMatching(/"label 19" and 5 more$/) });
});

test("an element's refusal names the element's type", () => {
  expect(conversionFor(columnTypeOf("integer[]")).convert(["x"])).toMatchObject({
    code: "VALUE_TYPE",
    expected: "array of integer, each integer from -2147483648 to 2147483647",
  });
});

test("hostile sizes are refused at once", () => {
  const digits = "9".repeat(5_000_000);
  const convert = (type: string) => conversionFor(columnTypeOf(type)).convert(digits);
  expect(convert("integer")).toMatchObject({ code: "VALUE_RANGE" });
  expect(convert("numeric")).toMatchObject({ code: "VALUE_RANGE" });
  expect(convert("numeric(6,2)")).toMatchObject({ code: "VALUE_RANGE" });
  expect(convert("double precision")).toMatchObject({ code: "VALUE_RANGE" });
  expect(convert("timestamptz")).toMatchObject({ code: "VALUE_TYPE" });
  expect(convert("varchar(10)")).toMatchObject({ code: "VALUE_TOO_LONG" });
});
