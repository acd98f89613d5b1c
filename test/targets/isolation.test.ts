import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countsOf, openTarget, summarize, type TargetBench } from "./support.ts";

/** What the server alone can tell: found by bisection, and named record by record. */

let bench: TargetBench;
beforeAll(async () => {
  bench = await openTarget();
  await bench.sql.unsafe("create extension if not exists btree_gist");
});
afterAll(() => bench.close());

const key = { natural_key: ["k"] };
const numbered = (count: number): { k: number; n: number }[] =>
  Array.from({ length: count }, (_, index) => ({ k: index + 1, n: index + 1 }));

test("V26: an exclusion constraint against stored rows and inside of the batch", async () => {
  await bench.sql.unsafe(`
    create table stays (k int primary key, bed int, days daterange, constraint one_a_bed exclude using gist (bed with =, days with &&));
    insert into stays values (1, 1, '[2026-01-01,2026-01-10)'), (2, 2, '[2026-01-01,2026-01-10)');
  `);
  const loaded = await bench.loadOne("stays", key, [
    { k: 3, bed: 1, days: "[2026-01-10,2026-01-20)" },
    { k: 4, bed: 1, days: "[2026-01-05,2026-01-06)" },
    { k: 5, bed: 3, days: "[2026-01-01,2026-01-05)" },
    { k: 6, bed: 3, days: "[2026-01-04,2026-01-05)" },
    { k: 2, bed: 1, days: "[2026-01-19,2026-01-21)" },
  ]);
  expect(summarize(loaded)).toEqual([
    [2, null, "CONSTRAINT_EXCLUSION", "one_a_bed"],
    [4, null, "CONSTRAINT_EXCLUSION", "one_a_bed"],
    [5, null, "CONSTRAINT_EXCLUSION", "one_a_bed"],
  ]);
  expect(countsOf(loaded, "stays")).toEqual({ read: 5, loaded: 2, failed: 3 });
  expect(loaded.rejects[0]?.got).toBe("k=4");
  expect(await bench.rows("stays", "k")).toEqual([["1"], ["2"]]);
});

test("a trigger's refusals among many records, with what else is wrong", async () => {
  await bench.sql.unsafe(`
    create table guarded (k int primary key, n int check (n <> 7));
    create function refuse_hundreds() returns trigger language plpgsql as $$
      begin if new.n % 100 = 0 then raise exception 'no hundreds'; end if; return new; end $$;
    create trigger refuse before insert on guarded for each row execute function refuse_hundreds();
  `);
  const loaded = await bench.loadOne("guarded", key, numbered(1000));
  expect(summarize(loaded)).toEqual([
    [7, "n", "CONSTRAINT_CHECK", "guarded_n_check"],
    ...Array.from({ length: 10 }, (_, index) => [100 * (index + 1), null, "CONSTRAINT_TRIGGER", null]),
  ]);
  expect(countsOf(loaded, "guarded")).toEqual({ read: 1000, loaded: 989, failed: 11 });
});

test("a preview finds the same", async () => {
  await bench.sql.unsafe("create table cased (k int primary key, t text); create unique index on cased (lower(t))");
  const table = {
    contract: key,
    fragments: [
      [
        { k: 1, t: "a" },
        { k: 2, t: "A" },
        { k: 3, t: "b" },
      ],
    ],
  };
  const preview = await bench.preview({ cased: table });
  const loaded = await bench.load({ cased: table });
  expect(summarize(preview)).toEqual([[2, null, "CONSTRAINT_UNIQUE", "cased_lower_idx"]]);
  expect(summarize(loaded)).toEqual(summarize(preview));
  expect(countsOf(loaded, "cased")).toEqual(countsOf(preview, "cased"));
});

describe("D14: constraints that the server checks in COMMIT only", () => {
  test("a deferred unique key", async () => {
    await bench.sql.unsafe(
      "create table late_keys (k int primary key, n int, constraint late unique (n) deferrable initially deferred)",
    );
    const loaded = await bench.loadOne("late_keys", key, [...numbered(3), { k: 4, n: 2 }]);
    expect(summarize(loaded)).toEqual([[4, null, "CONSTRAINT_UNIQUE", "late"]]);
  });

  test("a deferred foreign key that the judge cannot see through: match full", async () => {
    await bench.sql.unsafe(`
      create table pairs (a int, b int, primary key (a, b)); insert into pairs values (1, 1);
      create table refers (k int primary key, a int, b int, constraint whole foreign key (a, b) references pairs match full
        deferrable initially deferred)
    `);
    const loaded = await bench.loadOne("refers", key, [
      { k: 1, a: 1, b: 1 },
      { k: 2, a: 1, b: null },
      { k: 3, a: null, b: null },
      { k: 4, a: 2, b: 2 },
    ]);
    expect(summarize(loaded)).toEqual([
      [2, null, "CONSTRAINT_FK", "whole"],
      [4, "a, b", "CONSTRAINT_FK", "whole"],
    ]);
  });
});

test("V31: a record without a partition is rejected, the others are not", async () => {
  await bench.sql.unsafe(`
    create table years (k int, y int, primary key (k, y)) partition by list (y);
    create table years_2026 partition of years for values in (2026);
  `);
  const loaded = await bench.loadOne("years", { natural_key: ["k", "y"] }, [
    { k: 1, y: 2026 },
    { k: 2, y: 2027 },
  ]);
  expect(summarize(loaded)).toEqual([[2, null, "CONSTRAINT_PARTITION", null]]);
});

test("rows that refer to new rows of their own table, changed and new ones", async () => {
  await bench.sql.unsafe(`
    create table tree (k int primary key, parent int references tree); insert into tree values (1, null), (2, 1)
  `);
  const loaded = await bench.loadOne("tree", { ...key, conflict_resolution: "replace" }, [
    { k: 2, parent: 4 },
    { k: 4, parent: 3 },
    { k: 3, parent: 1 },
  ]);
  expect(summarize(loaded)).toEqual([]);
  expect(countsOf(loaded, "tree")).toEqual({ read: 3, loaded: 2, updated: 1 });
});

test("the search is bounded: what is left is counted, and nothing is loaded", async () => {
  await bench.sql.unsafe(`
    create table hopeless (k int primary key, n int);
    create function refuse_all() returns trigger language plpgsql as $$ begin raise exception 'never'; end $$;
    create trigger refuse before insert on hopeless for each row execute function refuse_all();
  `);
  const loaded = await bench.loadOne("hopeless", key, numbered(1500));
  expect(loaded.outcome).toBe("rejected");
  expect(loaded.rejected).toBeGreaterThan(400);
  expect(loaded.rejected + (loaded.tables.hopeless?.unjudged ?? 0)).toBe(1500);
  expect(loaded.rejects.every(({ code }) => code === "CONSTRAINT_TRIGGER")).toBe(true);
  expect(await bench.rows("hopeless", "k")).toEqual([]);
});
