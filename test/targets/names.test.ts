import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countsOf, type LoadTables, openTarget, summarize, type TargetBench } from "./support.ts";

let bench: TargetBench;
beforeAll(async () => {
  bench = await openTarget();
});
afterAll(() => bench.close());

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const constant = (name: string): string => `'${name.replaceAll("'", "''")}'`;
/** Names that would be SQL where they are not quoted. */
const hostile = [
  'x"."y',
  "x'); drop table victims; --",
  "$1",
  "a/*b*/c",
  "Select",
  "back\\slash",
  "ü 🜁",
  "new\nline",
  "{}",
  "%s",
];

const record = (name: string, k: number, v: number, more: object = {}): object => ({
  [`k ${name}`]: k,
  [`v ${name}`]: v,
  ...more,
});

/** Makes a table whose every name is hostile; answers its contract. */
async function makeHostile(name: string): Promise<object> {
  const [k, v, u, check, unique] = ["k", "v", "u", "c", "q"].map((prefix) => quote(`${prefix} ${name}`));
  await bench.sql.unsafe(`
    create table ${quote(name)} (
      ${k} int primary key, ${v} numeric, ${u} text default ${constant(name)},
      constraint ${check} check (${v} > 0), constraint ${unique} unique (${u})
    )`);
  return {
    natural_key: [`k ${name}`],
    immutable_fields: [`u ${name}`],
    audit_changes: true,
    required_fields: [`v ${name}`],
    conflict_resolution: "newest",
    newer_by: `v ${name}`,
  };
}

describe("X01: names are only ever names", () => {
  test("real tables and columns that need quoting load, update, and reject like any other", async () => {
    await bench.sql.unsafe("create table victims (k int primary key)");
    const contracts = new Map<string, object>();
    for (const name of hostile) contracts.set(name, await makeHostile(name));
    const everywhere = (records: (name: string) => object[]): LoadTables =>
      Object.fromEntries(
        hostile.map((name) => [name, { contract: contracts.get(name) ?? {}, fragments: [records(name)] }]),
      );
    const rejected = await bench.load(
      everywhere((name) => [record(name, 1, -1), record(name, 2, 1), record(name, 2, 1, { [`u ${name}`]: "x" })]),
    );
    expect(summarize(rejected)).toHaveLength(3 * hostile.length);
    for (const name of hostile) {
      expect(summarize(rejected)).toContainEqual([1, `v ${name}`, "CONSTRAINT_CHECK", `c ${name}`]);
      expect(summarize(rejected)).toContainEqual([3, `k ${name}`, "KEY_DUPLICATE", null]);
    }
    const loaded = await bench.load(
      everywhere((name) => [record(name, 1, 1), record(name, 2, 1, { [`u ${name}`]: "other" })]),
    );
    const change = everywhere((name) => [record(name, 1, 2, { [`u ${name}`]: "changed" })]);
    const preview = await bench.preview(change);
    const updated = await bench.load(change);
    for (const name of hostile) {
      expect(countsOf(loaded, name)).toEqual({ read: 2, loaded: 2 });
      expect(updated.tables[name]?.immutableAttempts).toEqual({ [`u ${name}`]: 1 });
      expect(preview.tables[name]?.changedFields).toEqual({ [`v ${name}`]: 1 });
      const columns = [`k ${name}`, `v ${name}`, `u ${name}`].map(quote).join(",");
      expect(await bench.rows(quote(name), columns)).toEqual([
        ["1", "2", name],
        ["2", "1", "other"],
      ]);
    }
    expect(await bench.rows("victims", "count(*)")).toEqual([["0"]]);
  });

  test("field names in records are unknown columns, listed and escaped", async () => {
    await bench.sql.unsafe("create table plain (k int primary key)");
    const loaded = await bench.loadOne("plain", { natural_key: ["k"] }, [
      ...hostile.map((name, k) => ({ k, [name]: 1 })),
      { k: 90, "nul\u0000": 1 },
      { k: 91, "\ud800": 1 },
      { k: 92, ["x".repeat(5000)]: 1 },
    ]);
    expect(loaded.rejects.map(({ code }) => code)).toEqual(new Array(hostile.length + 3).fill("COLUMN_UNKNOWN"));
    expect(loaded.rejects.slice(0, hostile.length).map(({ field }) => field)).toEqual(hostile);
    expect(loaded.rejects.at(-3)).toMatchObject({ field: '"nul\\u0000"', got: '"nul\\u0000"' });
    expect(loaded.rejects.at(-2)).toMatchObject({ field: '"\\ud800"' });
    expect(loaded.rejects.at(-1)?.field).toMatch(/^"x{200}"\.\.\. \(5000 characters\)$/);
  });

  test("values that look like SQL, COPY marks or escapes are stored as they are", async () => {
    await bench.sql.unsafe("create table texts (k int primary key, t text)");
    const values = [
      ...hostile,
      "\\.",
      "\\N",
      "\\\\N",
      "\t",
      "a\r\nb",
      "\n\\.\n",
      "\\x41",
      "\u0001\u007f",
      "\ufeff",
      "\u2028",
      "🜁".repeat(3),
      "'",
    ];
    const loaded = await bench.loadOne(
      "texts",
      { natural_key: ["k"], null_values: [] },
      values.map((t, k) => ({ k, t })),
    );
    expect(countsOf(loaded, "texts")).toEqual({ read: values.length, loaded: values.length });
    expect((await bench.rows("texts", "t", "k")).flat()).toEqual(values);
  });
});

test("P3: digits, unicode and escapes survive the whole path, and a second load finds them unchanged", async () => {
  await bench.sql.unsafe(`
    create table exact (k bigint primary key, b bigint, n numeric, f float8, r real, t text, j jsonb, o json, x bytea, ts timestamptz)
  `);
  const texts = `
    {"k":9007199254740993,"b":-9223372036854775808,"n":123456789012345678901234567890.12345678901234567890,"f":0.1,"t":"\\ud83e\\udde8 \\u00e9 e\\u0301"}
    {"k":9223372036854775807,"b":9007199254740993,"n":1.10,"f":-0.0,"t":"\\\\N","j":{"a":12345678901234567890123,"b":1.10,"z":[1e2]}}
    {"k":3,"n":0.000000000000000000000000000001,"f":5e-324,"r":0.1,"t":"","j":"text","o":{"b":1.10,"a":12345678901234567890}}
    {"k":4,"n":1e2,"f":1.7976931348623157e308,"t":"\\\\.\\n\\t\\\\","x":"\\\\x00ff","ts":"2026-01-01T00:00:00.123456+05:30"}
    {"k":5,"n":-0,"f":1e22,"t":12345678901234567890123,"ts":"0001-01-01T00:00:00Z"}`;
  const contract = { natural_key: ["k"], null_values: [] };
  const loaded = await bench.loadOne("exact", contract, texts);
  expect(summarize(loaded)).toEqual([]);
  expect(await bench.rows("exact", "k, b, n, f, r, t, j, o, x, ts", "k")).toEqual([
    [
      "3",
      null,
      "0.000000000000000000000000000001",
      "5e-324",
      "0.1",
      "",
      '"text"',
      '{"b":1.10,"a":12345678901234567890}',
      null,
      null,
    ],
    [
      "4",
      null,
      "100",
      "1.7976931348623157e+308",
      null,
      "\\.\n\t\\",
      null,
      null,
      "\\x00ff",
      "2025-12-31 18:30:00.123456+00",
    ],
    ["5", null, "0", "1e+22", null, "12345678901234567890123", null, null, null, "0001-01-01 00:00:00+00"],
    [
      "9007199254740993",
      "-9223372036854775808",
      "123456789012345678901234567890.12345678901234567890",
      "0.1",
      null,
      "🧨 é e\u0301",
      null,
      null,
      null,
      null,
    ],
    [
      "9223372036854775807",
      "9007199254740993",
      "1.10",
      "-0",
      null,
      "\\N",
      '{"a": 12345678901234567890123, "b": 1.10, "z": [100]}',
      null,
      null,
      null,
    ],
  ]);
  expect(countsOf(await bench.loadOne("exact", contract, texts), "exact")).toEqual({ read: 5, unchanged: 5 });
});
