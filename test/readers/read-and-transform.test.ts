import { describe, expect, it } from "vitest";
import type { Column, TableShape } from "../../lib/core/catalog.ts";
import { parseContracts } from "../../lib/core/contract.ts";
import type { JsonObject } from "../../lib/core/json.ts";
import { planTables, type TablePlan } from "../../lib/core/plan.ts";
import { transformOf } from "../../lib/targets/postgres/encode/record-to-row.ts";
import { columnOfType, columnTypeOf } from "../targets/encode/column-types.ts";
import { read } from "./support.ts";

/** From bytes to staged values: what neither the reader nor a conversion shows alone. */

const types = {
  id: "integer",
  k: "integer",
  big: "bigint",
  n: "numeric",
  price: "numeric(10,2)",
  f: "double precision",
  r: "real",
  t: "text",
  b: "boolean",
  j: "json",
  jb: "jsonb",
  ts: "text[]",
};

function planOf(): TablePlan {
  const { contracts } = parseContracts(JSON.stringify({ tables: { t: { natural_key: ["id"] } } }));
  if (!contracts) throw new Error("the contract is wrong");
  const columns = Object.entries(types).map(([name, type]): Column => ({ ...columnOfType(columnTypeOf(type)), name }));
  const none = { uniqueKeys: [], foreignKeys: [], checks: [], notEnforced: [] };
  const shape: TableShape = { name: "t", schema: "public", kind: "r", rowSecurity: false, columns, ...none };
  const input = { batchId: "", action: "load", dryRun: false, force: false, source: "manual" } as const;
  return planTables(["t"], {
    contracts: { hash: "", contracts },
    catalog: new Map([["t", shape]]),
    input,
  })[0] as TablePlan;
}

const plan = planOf();
const transform = transformOf(plan);

/** The staged values by column, or the codes by field. */
async function stage(text: string | Buffer): Promise<Record<string, string>[]> {
  const { values } = await read(Buffer.from(text));
  return values.map((value) => {
    const made = transform({ ...(value as JsonObject), id: 1 });
    if ("rejects" in made) return Object.fromEntries(made.rejects.map(({ field, code }) => [String(field), code]));
    const fields = plan.columns.map(({ name }, i): [string, string | null] => [name, made.values[i] ?? null]);
    return Object.fromEntries(
      fields.filter((field): field is [string, string] => field[1] !== null && field[0] !== "id"),
    );
  });
}

describe("numbers", () => {
  it.each([
    "9007199254740993",
    "-9223372036854775808",
    "12345678901234567890",
    "1.10",
    "-0.0",
    "0.1234567890123456789",
  ])("J08, J11: %s keeps its digits", async (n) => {
    const kept = { n, t: n, j: `{"a":[${n}]}`, jb: `{"a":[${n}]}`, ts: `{${n}}` };
    expect(await stage(`[{"n":${n},"t":${n},"j":{"a":[${n}]},"jb":{"a":[${n}]},"ts":[${n}]}]`)).toEqual([
      n === "-0.0" ? { ...kept, n: "-0.0" } : kept,
    ]);
  });

  it("J08, J11: goes into an integer whole or not at all", async () => {
    expect(
      await stage('[{"big":9007199254740993,"k":1.0,"f":-0},{"k":1e2},{"k":-0},{"k":1.5},{"big":9223372036854775808}]'),
    ).toEqual([
      { big: "9007199254740993", k: "1", f: "-0" },
      { k: "100" },
      { k: "0" },
      { k: "VALUE_TYPE" },
      { big: "VALUE_RANGE" },
    ]);
  });

  const long = "7".repeat(10_000_000);
  it.each([
    ["k", "VALUE_RANGE"],
    ["big", "VALUE_RANGE"],
    ["n", "VALUE_RANGE"],
    ["price", "VALUE_RANGE"],
    ["f", "VALUE_RANGE"],
    ["r", "VALUE_RANGE"],
    ["b", "VALUE_TYPE"],
    ["jb", "VALUE_RANGE"],
  ])("P9: one of 10,000,000 digits in column %s is %s", async (column, code) => {
    expect(await stage(`[{"${column}":${long}}]`)).toEqual([{ [column]: code }]);
  });

  it("P9: one of 10,000,000 digits behind the point is refused as well", async () => {
    expect(await stage(`[{"n":0.${long},"price":0.${long},"jb":0.${long}}]`)).toEqual([
      { n: "VALUE_RANGE", price: "VALUE_PRECISION_LOSS", jb: "VALUE_RANGE" },
    ]);
  });

  it("P9: one of 10,000,000 digits is a text like any other", async () => {
    const [row] = await stage(`[{"t":${long},"j":${long}}]`);
    expect([row?.["t"] === long, row?.["j"] === long]).toEqual([true, true]);
  });
});

describe("J13: NUL and lone surrogates", () => {
  it.each([
    "\\u0000",
    "a\\u0000b",
    "\\ud800",
    "\\udc00",
    "\\ud800\\ud800",
    "\\udc00\\ud800",
    "x\\uD83D",
    "\\ud800\\u0041",
  ])("in a value, a name, an array, nested JSON: %s", async (bad) => {
    const rows = await stage(
      `[{"t":"${bad}"},{"j":{"a":["${bad}"]}},{"jb":{"a":{"${bad}":1}}},{"jb":"${bad}"},{"ts":["x","${bad}"]},{"${bad}":1}]`,
    );
    const code = "VALUE_ENCODING";
    expect(rows.slice(0, 5)).toEqual([{ t: code }, { j: code }, { jb: code }, { jb: code }, { ts: code }]);
    expect(Object.values(rows[5] as object)).toEqual(["COLUMN_UNKNOWN"]);
    expect(Object.keys(rows[5] as object).every((name) => name.isWellFormed() && !name.includes("\0"))).toBe(true);
  });

  it("pairs and every other character pass, however they are written", async () => {
    expect(await stage('[{"t":"\\ud83d\\ude00","j":{"\\uD83D\\uDE00":"😀"},"ts":["\\uFFFD\\ufeff\\u0001"]}]')).toEqual([
      { t: "😀", j: '{"😀":"😀"}', ts: '{"\ufffd\ufeff\u0001"}' },
    ]);
  });
});
