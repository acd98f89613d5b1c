import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { LoadResult, TableResult } from "../../lib/core/report.ts";
import type { Flow } from "../support/flow.ts";
import { nextBatch, openPlainFlow, stagingKey } from "./bad-input-support.ts";

/** What load_result.json says of a table besides the counts: warnings, and texts that were taken for null. */

/** Below 18 the server knows no such constraint, and there is nothing to name. */
const canBeLoose = inject("server").majorVersion >= 18;
const clause = canBeLoose ? "not enforced" : "";

let flow: Flow;
beforeAll(async () => {
  const key = { natural_key: ["k"] };
  flow = await openPlainFlow(
    {
      inserting: { ...key, update_strategy: "insert_only" },
      updating: { ...key, update_strategy: "update_only", immutable_fields: ["made_by"] },
      literal: { ...key, null_values: [] },
      nulls: key,
      loose: key,
    },
    `create table inserting (k int primary key); insert into inserting values (1), (2);
     create table updating (k int primary key, n int, made_by text); insert into updating values (1, 1, 'a'), (2, 1, 'a');
     create table literal (k int primary key, t text); create table nulls (k int primary key, t text, n int);
     create table elsewhere (k int primary key); insert into elsewhere values (1);
     create table loose (
       k int primary key, p int constraint to_elsewhere references elsewhere ${clause},
       n int constraint is_positive check (n > 0) ${clause}, m int constraint is_small check (m < 10)
     )`,
  );
});
afterAll(() => flow.close());

/** Loads records into one table; what the report in the archive says of it. */
async function reportOf(table: string, records: readonly object[]): Promise<TableResult> {
  const batchId = nextBatch();
  await flow.put(stagingKey(batchId, `${table}.json`), records);
  await flow.queueRow({ batchId, table, approved: true });
  const run = await flow.run({ batchId });
  expect([run.status, run.cause]).toEqual(["SUCCEEDED", null]);
  const report = (await flow.json(`loaded/${batchId}/load_result.json`)) as LoadResult;
  expect(run.output).toMatchObject({ tables: { [table]: { warnings: report.tables[table]?.warnings } } });
  return report.tables[table] as TableResult;
}

describe("warnings", () => {
  test("B2, B3: keys that a strategy skips, and immutable fields that records would change", async () => {
    expect((await reportOf("inserting", [{ k: 1 }, { k: 2 }, { k: 3 }])).warnings).toEqual([
      "DUPLICATE_KEYS: 2 records have keys that are stored already; insert_only skips them",
    ]);
    const records = [
      { k: 1, n: 2, made_by: "b" },
      { k: 2, n: 2, made_by: "a" },
      { k: 9, n: 2 },
    ];
    const { warnings, immutable_attempts: attempts } = await reportOf("updating", records);
    expect(warnings).toEqual([
      "UNKNOWN_KEYS: 1 records have keys that are not stored; update_only skips them",
      "IMMUTABLE_FIELD: 1 records would change made_by, which stays as it is",
    ]);
    expect(attempts).toEqual({ made_by: 1 });
    expect((await reportOf("plain", [{ k: 1 }])).warnings).toEqual([]);
  });

  test("V34: constraints that the server does not enforce are named, and their rows loaded", async () => {
    const { warnings, records_loaded: loaded } = await reportOf("loose", [
      canBeLoose ? { k: 1, p: 99, n: -1, m: 1 } : { k: 1, p: 1, n: 1, m: 1 },
    ]);
    const named = ["is_positive", "to_elsewhere"].map(
      (name) => `NOT_ENFORCED: constraint ${name} is not enforced by the server`,
    );
    expect([loaded, warnings]).toEqual([1, canBeLoose ? named : []]);
  });
});

test("V07: NA and the empty text are null and counted, or stay what they are with null_values []", async () => {
  const texts = ["NA", "", "NULL", "na", "null", "None", "-", "0"];
  const nulls = await reportOf("nulls", [...texts.map((t, k) => ({ k, t, n: k % 2 })), { k: 100, t: "x", n: "" }]);
  expect(nulls.values_nulled).toBe(4);
  const stored = await flow.sql`select t, n from nulls order by k`;
  expect(stored.map(({ t, n }) => [t, n])).toEqual([...texts.map((t, k) => [k < 3 ? null : t, k % 2]), ["x", null]]);
  expect(
    (
      await reportOf(
        "literal",
        texts.map((t, k) => ({ k, t })),
      )
    ).values_nulled,
  ).toBe(0);
  const literal = await flow.sql`select t from literal order by k`;
  expect(literal.map(({ t }) => t)).toEqual(texts);
});
