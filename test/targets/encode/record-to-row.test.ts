import { describe, expect, test } from "vitest";
import type { Column, TableShape } from "../../../lib/core/catalog.ts";
import { parseContracts } from "../../../lib/core/contract.ts";
import { ExactNumber, type JsonObject } from "../../../lib/core/json.ts";
import { planTables, type TablePlan } from "../../../lib/core/plan.ts";
import { transformOf } from "../../../lib/targets/postgres/encode/record-to-row.ts";
import { columnOfType, columnTypeOf } from "./column-types.ts";

function column(name: string, type: string, more: Partial<Column> = {}): Column {
  return { ...columnOfType(columnTypeOf(type)), name, ...more };
}

const columns = [
  column("k", "integer"),
  column("t", "text"),
  column("b", "boolean"),
  column("at", "timestamptz"),
  column("x", "bytea"),
  column("f", "real"),
  column("rest", "jsonb"),
  column("list", "text[]"),
  column("ats", "timestamptz[]"),
  column("span", "tstzrange"),
  column("words", "boolean[]"),
  column("blobs", "bytea[]"),
  column("reals", "real[]"),
  column("made", "integer", { generated: true }),
  column("created_at", "timestamptz"),
];

function planOf(contract: object): TablePlan {
  const { contracts, faults } = parseContracts(JSON.stringify({ tables: { t: { natural_key: ["k"], ...contract } } }));
  if (!contracts) throw new Error(faults.join("; "));
  const none = { uniqueKeys: [], foreignKeys: [], checks: [], notEnforced: [] };
  const shape: TableShape = { name: "t", schema: "public", kind: "r", rowSecurity: false, columns, ...none };
  const input = { batchId: "", action: "load", dryRun: false, force: false, source: "manual" } as const;
  const planned = { contracts: { hash: "", contracts }, catalog: new Map([["t", shape]]), input };
  return planTables(["t"], planned)[0] as TablePlan;
}

/** The staged values by column, or the codes by field. */
function transform(record: JsonObject, contract: object = {}): Record<string, string | null> {
  const plan = planOf(contract);
  const made = transformOf(plan)(record);
  if ("rejects" in made) return Object.fromEntries(made.rejects.map(({ field, code }) => [`${field}`, code]));
  const entries = plan.columns.map(({ name }, index): [string, string | null] => [name, made.values[index] ?? null]);
  return Object.fromEntries(entries.filter(([, value]) => value !== null));
}

describe("names", () => {
  test("C4: absent, null and excluded fields are told apart", () => {
    const made = transformOf(planOf({}))({ k: 1, t: null, created_at: "whatever", Id: 5 });
    expect(made).toEqual({ values: ["1", ...new Array(12).fill(null)], absent: "0011111111111", nulled: 0 });
    const lists = { list: [], ats: [], span: "empty", words: [], blobs: [], reals: [] };
    const all = { k: 1, t: "t", b: true, at: "2026-01-01", x: "00", f: 1, rest: {}, ...lists };
    expect(transformOf(planOf({}))(all)).toMatchObject({ absent: null });
  });

  test("J17: names match exactly first, then but for case", () => {
    expect(transform({ K: 1, T: "x" })).toEqual({ k: "1", t: "x" });
    expect(transform({ k: 1, K: 2 })).toEqual({ K: "COLUMN_AMBIGUOUS" });
    expect(transform({ k: 1, CREATED_AT: "x", id: 3 })).toEqual({ k: "1" });
    expect(transform({ k: 1, Made: 1 })).toEqual({ Made: "COLUMN_READONLY" });
  });

  test("B9: unknown fields are rejected, ignored or kept", () => {
    const record = { k: 1, extra: new ExactNumber("12345678901234567890"), more: { a: [null] } };
    expect(transform(record)).toEqual({ extra: "COLUMN_UNKNOWN" });
    expect(transform(record, { unknown_fields: "ignore" })).toEqual({ k: "1" });
    const rescue = { unknown_fields: "rescue", rescue_column: "rest" };
    expect(transform(record, rescue)).toEqual({ k: "1", rest: '{"extra":12345678901234567890,"more":{"a":[null]}}' });
    expect(transform({ k: 1 }, rescue)).toEqual({ k: "1" });
    expect(transform({ k: 1, rest: { a: 1 } }, rescue)).toEqual({ k: "1", rest: '{"a":1}' });
    expect(transform({ k: 1, rest: { a: 1 }, extra: 1 }, rescue)).toEqual({ rest: "COLUMN_AMBIGUOUS" });
    expect(transform({ k: 1, extra: "nul\u0000" }, rescue)).toEqual({ rest: "VALUE_ENCODING" });
    const hostile = JSON.parse('{"k":1,"__proto__":{"a":1}}') as JsonObject;
    expect(transform(hostile, rescue)).toEqual({ k: "1", rest: '{"__proto__":{"a":1}}' });
  });
});

describe("values", () => {
  test("B7: null_values are exact, per table and per column, and counted", () => {
    expect(transform({ k: 1, t: "NA" })).toEqual({ k: "1" });
    expect(transform({ k: 1, t: "na" })).toEqual({ k: "1", t: "na" });
    expect(transform({ k: 1, t: "" }, { null_values: [] })).toEqual({ k: "1", t: "" });
    const mixed = { null_values: ["-"], columns: { t: { null_values: ["?"] } } };
    expect(transform({ k: 1, t: "-", b: "-" }, mixed)).toEqual({ k: "1", t: "-" });
    expect(transform({ k: 1, t: "?", b: "?" }, mixed)).toEqual({ b: "VALUE_TYPE" });
    expect(transformOf(planOf({}))({ k: 1, t: "NA", b: "", at: "NULL" })).toMatchObject({ nulled: 3 });
  });

  test("B7: what is null as a text stays what it is inside an array and inside JSON", () => {
    const record = { k: 1, list: ["NA", "", null, "NULL"], rest: { a: "NA", b: [""] } };
    expect(transform(record)).toEqual({ k: "1", list: '{NA,"",NULL,"NULL"}', rest: '{"a":"NA","b":[""]}' });
    const nulls = { columns: { list: { null_values: ["-"] }, words: { null_values: ["?"] } } };
    expect(transform({ k: 1, list: "-", words: "?" }, nulls)).toEqual({ k: "1" });
    expect(transform({ k: 1, list: "NA" }, nulls)).toEqual({ list: "VALUE_TYPE" });
  });

  test("B11: settings of a column hold for the elements of its arrays and the bounds of its ranges", () => {
    const columns = {
      ats: { timezone: "America/New_York", allow_infinity: true },
      span: { timezone: "America/New_York", allow_infinity: true },
      words: { true_values: ["Y"], false_values: ["N"] },
      blobs: { bytea_encoding: "base64" },
      reals: { allow_infinity: true },
    };
    const record = {
      k: 1,
      ats: ["2026-01-01T10:00:00", "infinity"],
      span: "[2026-01-01 10:00,infinity)",
      words: ["y", "N", true],
      blobs: ["/wA="],
      reals: ["NaN", 1.5],
    };
    expect(transform(record, { columns })).toEqual({
      k: "1",
      ats: '{"2026-01-01 10:00:00-05:00",infinity}',
      span: '["2026-01-01 10:00:00-05:00","infinity")',
      words: "{true,false,true}",
      blobs: '{"\\\\xff00"}',
      reals: "{NaN,1.5}",
    });
    const codes = {
      ats: "VALUE_TYPE",
      span: "VALUE_TYPE",
      words: "VALUE_TYPE",
      blobs: "VALUE_TYPE",
      reals: "VALUE_TYPE",
    };
    expect(transform(record)).toEqual(codes);
  });

  test("T03: an empty key is null unless it is allowed", () => {
    const contract = { natural_key: ["t"], null_values: [] };
    expect(transform({ t: "" }, contract)).toEqual({ t: "KEY_NULL" });
    expect(transform({ t: "" }, { ...contract, columns: { t: { allow_empty_key: true } } })).toEqual({ t: "" });
    expect(transform({ t: "" }, { natural_key: ["t"], columns: { t: { allow_empty_key: true } } })).toEqual({ t: "" });
  });

  test("B11: time zone, words for booleans, bytea encoding, infinity", () => {
    expect(transform({ k: 1, at: "2026-01-01T10:00:00" })["at"]).toBe("2026-01-01T10:00:00+00:00");
    const options = {
      columns: {
        at: { timezone: "America/New_York" },
        b: { true_values: ["Y"], false_values: ["N"] },
        x: { bytea_encoding: "base64" },
        f: { allow_infinity: true },
      },
    };
    expect(transform({ k: 1, at: "2026-01-01T10:00:00", b: "y", x: "/wA=", f: "Infinity" }, options)).toEqual({
      k: "1",
      at: "2026-01-01 10:00:00-05:00",
      b: "true",
      x: "\\xff00",
      f: "Infinity",
    });
    expect(transform({ k: 1, at: "2026-11-01T01:30:00", b: "yes", x: "ff" }, options)).toEqual({
      at: "VALUE_AMBIGUOUS",
      b: "VALUE_TYPE",
      x: "VALUE_TYPE",
    });
  });

  test("B11: required fields have to be there, and all faults of a record are named", () => {
    const contract = { required_fields: ["t", "b", "at"] };
    const made = transformOf(planOf(contract))({ k: "x", t: null, at: "never", nope: 1 });
    expect("rejects" in made && made.rejects.map(({ field, code, got }) => [field, code, got])).toEqual([
      ["k", "VALUE_TYPE", '"x"'],
      ["at", "VALUE_TYPE", '"never"'],
      ["nope", "COLUMN_UNKNOWN", '"nope"'],
      ["t", "VALUE_NOT_NULL", "null"],
      ["b", "VALUE_NOT_NULL", "no such field"],
    ]);
  });

  test("what is shown of a value is escaped, short and whole", () => {
    const made = transformOf(planOf({}))({ k: `a\n"${"🜁".repeat(200)}`, t: { a: "x".repeat(500) } });
    const shown = "rejects" in made ? made.rejects.map(({ got }) => got) : [];
    expect(shown[0]).toMatch(/^"a\\n\\"(🜁)+.*"\.\.\. \(403 characters\)$/u);
    expect(shown[1]).toMatch(/^object "\{.*x"\.\.\. \(508 characters\)$/);
    expect(shown.every((text) => text?.isWellFormed())).toBe(true);
  });
});
