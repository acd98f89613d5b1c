import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Flow, RunResult } from "../support/flow.ts";
import { failWith, nextBatch, openPlainFlow, stagingKey } from "./bad-input-support.ts";

/** What JSON can do to values and names on the way from a fragment into a table, through the whole machine. */

let flow: Flow;
beforeAll(async () => {
  flow = await openPlainFlow(
    { exact: { natural_key: ["k"] }, long: { natural_key: ["k"] }, long_key: { natural_key: ["t"] } },
    `create table exact (k int primary key, b bigint, n numeric, f float8, t text, j json, jb jsonb);
     create table long (k int primary key, t text);
     create table long_key (t text primary key);`,
  );
});
afterAll(() => flow.close());

async function load(table: string, body: string): Promise<RunResult> {
  const batchId = nextBatch();
  await flow.put(stagingKey(batchId, `${table}.json`), body);
  await flow.queueRow({ batchId, table, approved: true });
  const run = await flow.run({ batchId });
  expect([run.status, run.cause]).toEqual(["SUCCEEDED", null]);
  return run;
}

async function rejectsOf(table: string, body: string) {
  return (await failWith(flow, "RECORDS_REJECTED", { [`${table}.json`]: body })).log.rejected_records;
}

describe("numbers", () => {
  test("J08, J11: every digit arrives, in bigint, numeric, json, jsonb and text", async () => {
    const long = "12345678901234567890123";
    await load(
      "exact",
      `[{"k":1,"b":9007199254740993,"n":${long},"f":-0,"t":${long},"j":{"a":${long},"b":1.10},"jb":[9007199254740993,${long},1.10]},
        {"k":2.0,"b":-9223372036854775808,"n":1.10,"f":0.1,"t":1.10,"j":1.10,"jb":1.10},
        {"k":3e0,"b":1e2,"n":-0,"f":1e2,"t":"1.10","j":-0,"jb":1e2}]`,
    );
    const rows = await flow.sql`
      select k::text, b::text, n::text, f::text, t, j::text, jb::text from exact order by k`;
    expect(rows.map((row) => Object.values(row))).toEqual([
      ["1", "9007199254740993", long, "-0", long, `{"a":${long},"b":1.10}`, `[9007199254740993, ${long}, 1.10]`],
      ["2", "-9223372036854775808", "1.10", "0.1", "1.10", "1.10", "1.10"],
      ["3", "100", "0", "100", "1.10", "-0", "100"],
    ]);
  });

  test("J08, J11: what does not fit is rejected, never rounded", async () => {
    const rejects = await rejectsOf(
      "exact",
      '[{"k":1,"b":9223372036854775808},{"k":1.5},{"k":2,"b":12345678901234567890}]',
    );
    expect(rejects.map(({ record, field, code }) => [record, field, code])).toEqual([
      [1, "b", "VALUE_RANGE"],
      [2, "k", "VALUE_TYPE"],
      [3, "b", "VALUE_RANGE"],
    ]);
  });
});

describe("names", () => {
  test("a name that stands twice rejects its record, at any depth, and no other", async () => {
    const rejects = await rejectsOf(
      "plain",
      '{"k":1,"n":1}\n{"k":2,"n":1,"n":2}\n{"k":3,"t":"a","\\u0074":"b"}\n{"k":4,"j":{"a":[{"b":1,"b":2}]}}\n{"k":5,"k":5}\n',
    );
    expect(rejects.map(({ record, field, code, original }) => [record, field, code, original])).toEqual([
      [2, "n", "COLUMN_AMBIGUOUS", '{"k":2,"n":1,"n":2}'],
      [3, "t", "COLUMN_AMBIGUOUS", '{"k":3,"t":"a","\\u0074":"b"}'],
      [4, "j.a.0.b", "COLUMN_AMBIGUOUS", '{"k":4,"j":{"a":[{"b":1,"b":2}]}}'],
      [5, "k", "COLUMN_AMBIGUOUS", '{"k":5,"k":5}'],
    ]);
    for (const { expected, got } of rejects) {
      expect([expected, got]).toEqual(["each name once in a record", "the name twice"]);
    }
  });

  test("J13: a name that stands twice and holds NUL is shown escaped", async () => {
    const rejects = await rejectsOf("plain", '[{"k":1,"\\u0000":1,"\\u0000":2}]');
    expect(rejects.map(({ field, code }) => [field, code])).toEqual([['"\\u0000"', "COLUMN_AMBIGUOUS"]]);
  });

  test("J18: columns are found by name, in any order and spelling", async () => {
    await load("exact", '[{"\\u006a":{"10":1,"9":2,"__proto__":3,"constructor":4},"\\u006b":18,"t":"by name"}]');
    const rows = await flow.sql`select k, t, j::text from exact where k = 18`;
    const [{ j, ...row }] = rows as unknown as [{ k: number; t: string; j: string }];
    expect(row).toEqual({ k: 18, t: "by name" });
    expect(Object.entries(JSON.parse(j)).sort()).toEqual([
      ["10", 1],
      ["9", 2],
      ["__proto__", 3],
      ["constructor", 4],
    ]);
    expect({}).not.toHaveProperty("constructor", 4);
  });
});

describe("J14: one string of 10 MB", () => {
  // so that the server cannot make it small
  const blocks = Array.from({ length: 160_000 }, (_, n) => createHash("sha256").update(`${n}`).digest("hex"));
  const text = `${blocks.join("").slice(0, 9_999_990)}\u0001"\\\n😀`;

  test("arrives as it was", async () => {
    await load(
      "long",
      JSON.stringify([
        { k: 1, t: text },
        { k: 2, t: "short" },
      ]),
    );
    const [row] =
      await flow.sql`select encode(sha256(convert_to(t, 'UTF8')), 'hex') as hash, length(t) from long where k = 1`;
    expect(row).toEqual({ hash: createHash("sha256").update(text).digest("hex"), length: [...text].length });
  });

  test("as a key is rejected alone, by the limit of the index", async () => {
    const rejects = await rejectsOf("long_key", JSON.stringify([{ t: "short" }, { t: text }]));
    expect(rejects.map(({ table, record, code }) => [table, record, code])).toEqual([["long_key", 2, "DB_LIMIT"]]);
    expect(rejects[0]?.original?.length).toBe(100_000);
  });
});
