import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ExactNumber, type JsonValue } from "../../../lib/core/json.ts";
import { supportedTypes, unsupportedTypes } from "../../../lib/targets/postgres/encode/conversion-of.ts";
import { columnTypeOf, verdictOf } from "./column-types.ts";
import { serverDifferences } from "./server-differences.ts";

/** The page on types shows examples; all of them are true. */

const text = readFileSync(new URL("../../../docs/reference/types.md", import.meta.url), "utf8");
const [supported = "", refused = ""] = text.split("\n## Refused types\n");
const cellsOf = (section: string): string[][] =>
  section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").slice(1, -1));

/** Types that stand for many, by one of the examples'. */
const examples: Readonly<Record<string, string>> = {
  enum: "mood",
  array: "integer[]",
  range: "int4range",
  multirange: "int4multirange",
};
const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string);
const rows = cellsOf(supported).map(([type = "", accepted = "", refusals = "", server = ""]) => {
  const [name = ""] = quoted(type);
  return { name, type: Object.hasOwn(examples, name) ? (examples[name] as string) : name, accepted, refusals, server };
});

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;
const keepDigits: Reviver = (_key, value, { source }) =>
  typeof value === "number" && source !== undefined && String(value) !== source ? new ExactNumber(source) : value;
const parseWith = JSON.parse as (text: string, reviver: Reviver) => JsonValue;

/** JSON examples of a cell; settings and codes between them are none. */
const jsonOf = (cell: string): string[] =>
  quoted(cell).filter((example) => !/^(?!true$|false$)[a-z_]\w+$/i.test(example));
const isCode = (verdict: string): boolean => /^VALUE_[A-Z_]+$/.test(verdict);

test("has a row for every type, and none twice", () => {
  const bases = rows.map(({ type }) => columnTypeOf(type).name);
  expect(supportedTypes.filter((name) => !bases.includes(name))).toEqual([]);
  expect(rows.map(({ name }) => name)).toEqual([...new Set(rows.map(({ name }) => name))]);
});

describe.each(rows)("$name", ({ type, accepted, refusals, server }) => {
  test("accepts what it says", () => {
    const values = jsonOf(accepted);
    expect(values.length).toBeGreaterThan(0);
    expect(values.filter((json) => isCode(verdictOf(type, parseWith(json, keepDigits))))).toEqual([]);
  });

  test("refuses what it says, with that code", () => {
    const groups = [...refusals.matchAll(/`(VALUE_[A-Z_]+)`: ((?:`[^`]+`(?:, )?)+)/g)];
    expect(groups.length).toBeGreaterThan(0);
    const wrong = groups.flatMap(([, code, cell = ""]) =>
      jsonOf(cell).filter((json) => verdictOf(type, parseWith(json, keepDigits)) !== code),
    );
    expect(wrong).toEqual([]);
  });

  test("says of the server what was seen", () => {
    const claims = [...server.matchAll(/`([^`]+)` as `([^`]+)`/g)].map(([, written, stored]) => ({ written, stored }));
    const seen = serverDifferences.filter((one) => columnTypeOf(one.type).name === columnTypeOf(type).name);
    const unseen = claims.filter(
      ({ written, stored }) => !seen.some((one) => one.text === written && one.stored === stored),
    );
    expect(unseen).toEqual([]);
  });
});

test("names every refused type with what to do", () => {
  const documented = cellsOf(refused).flatMap(([types = "", why = ""]) =>
    quoted(types).map((name): [string, string] => [name, why.trim()]),
  );
  expect(documented.toSorted()).toEqual([...unsupportedTypes].toSorted());
});
