import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contractFaults, parseContracts } from "../../lib/core/contract.ts";
import { planTables } from "../../lib/core/plan.ts";
import { countsOf, type Loaded, openTarget, summarize, type TargetBench } from "./support.ts";

/** Constraints beyond the ordinary: many at once, odd unique keys, partitions, limits, and what is checked in COMMIT. */

let bench: TargetBench;
beforeAll(async () => {
  bench = await openTarget();
  await bench.sql.unsafe("create extension if not exists btree_gist");
});
afterAll(() => bench.close());

const key = { natural_key: ["k"] };
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** How often each code was given with each constraint. */
function tally({ rejects }: Loaded): Record<string, number> {
  const groups = Map.groupBy(rejects, ({ code, constraint }) => `${code} ${constraint}`);
  return Object.fromEntries([...groups].map(([name, group]) => [name, group.length]));
}

describe("V26: broken constraints", () => {
  test("500 rows that break a check, not null, a second unique key and an exclusion are all named", async () => {
    await bench.sql.unsafe(`
      create table wards (
        k int primary key, n int not null, lo int, code text, bed int, days daterange,
        constraint lo_is_positive check (lo > 0), constraint one_code unique (code),
        constraint one_a_bed exclude using gist (bed with =, days with &&)
      );
      insert into wards values (9000, 1, 1, 'taken', 1, '[2026-01-01,2026-02-01)');
    `);
    const free = "[2026-03-01,2026-03-02)";
    const records = [
      ...range(1, 200).map((k) => ({ k, n: 1, lo: -k })),
      ...range(201, 350).map((k) => ({ k, lo: 1 })),
      ...range(351, 400).map((k) => ({ k, n: 1, code: "taken" })),
      ...range(401, 450).map((k) => ({ k, n: 1, code: `twin ${k % 25}` })),
      ...range(451, 500).map((k) => ({ k, n: 1, bed: 1, days: "[2026-01-05,2026-01-06)" })),
      ...range(501, 700).map((k) => ({ k, n: 1, lo: k, code: `own ${k}`, bed: k, days: free })),
    ];
    const loaded = await bench.loadOne("wards", key, records);
    expect(tally(loaded)).toEqual({
      "CONSTRAINT_CHECK lo_is_positive": 200,
      "VALUE_NOT_NULL null": 150,
      "CONSTRAINT_UNIQUE one_code": 100,
      "CONSTRAINT_EXCLUSION one_a_bed": 50,
    });
    expect(loaded.rejects.map(({ record }) => record)).toEqual(range(1, 500));
    expect(countsOf(loaded, "wards")).toEqual({ read: 700, loaded: 200, failed: 500 });
    expect(await bench.rows("wards", "k")).toEqual([["9000"]]);
  });

  test("one record that breaks several is told of each", async () => {
    await bench.sql.unsafe(`
      create table several (k int primary key, n int not null, a int, b int,
        constraint a_low check (a < 10), constraint a_below_b check (a < b), constraint b_key unique (b));
      insert into several values (1, 1, 1, 5);
    `);
    const loaded = await bench.loadOne("several", key, [{ k: 2, a: 20, b: 5 }]);
    expect(summarize(loaded).map(([, field, code, name]) => [field, code, name])).toEqual(
      expect.arrayContaining([
        ["n", "VALUE_NOT_NULL", null],
        ["a", "CONSTRAINT_CHECK", "a_low"],
        ["a, b", "CONSTRAINT_CHECK", "a_below_b"],
        ["b", "CONSTRAINT_UNIQUE", "b_key"],
      ]),
    );
    expect(loaded.rejected).toBe(1);
  });

  test("a second unique key of several columns meets only where none of them is null", async () => {
    await bench.sql.unsafe(`
      create table paired (k int primary key, a int, b text, constraint pair unique (a, b));
      insert into paired values (1, 1, 'x'), (2, 1, null);
    `);
    const fine = [
      { k: 3, a: 1 },
      { k: 4, a: 1, b: null },
      { k: 5, a: 2, b: "x" },
    ];
    const broken = [
      { k: 6, a: 1, b: "x" },
      { k: 2, b: "x" },
    ];
    const loaded = await bench.loadOne("paired", key, [...fine, ...broken]);
    expect(summarize(loaded)).toEqual([4, 5].map((record) => [record, "a, b", "CONSTRAINT_UNIQUE", "pair"]));
    expect((await bench.loadOne("paired", key, fine)).outcome).toBe("committed");
  });

  test("a second unique key whose nulls are not distinct: both of two nulls are named", async () => {
    await bench.sql.unsafe(
      "create table nullable (k int primary key, n int, constraint one_null unique nulls not distinct (n))",
    );
    const loaded = await bench.loadOne("nullable", key, [{ k: 1 }, { k: 2 }, { k: 3, n: 1 }]);
    expect(summarize(loaded)).toEqual([1, 2].map((record) => [record, "n", "CONSTRAINT_UNIQUE", "one_null"]));
    await bench.loadOne("nullable", key, [{ k: 1 }]);
    const again = await bench.loadOne("nullable", key, [{ k: 1, n: null }, { k: 2 }]);
    expect(summarize(again)).toEqual([[2, "n", "CONSTRAINT_UNIQUE", "one_null"]]);
  });

  test("a partial unique index: only rows inside of it meet", async () => {
    await bench.sql.unsafe(`
      create table current_rows (k int primary key, n int, old boolean);
      create unique index one_current on current_rows (n) where not old;
    `);
    const loaded = await bench.loadOne("current_rows", key, [
      { k: 1, n: 1, old: true },
      { k: 2, n: 1, old: false },
      { k: 3, n: 1, old: true },
      { k: 4, n: 1, old: false },
    ]);
    expect(summarize(loaded)).toEqual([[4, null, "CONSTRAINT_UNIQUE", "one_current"]]);
    expect(countsOf(loaded, "current_rows")).toEqual({ read: 4, loaded: 3, failed: 1 });
  });

  test("a change that rows of another table do not allow is named, too", async () => {
    await bench.sql.unsafe(`
      create table referred (k int primary key, code text unique);
      create table referring (k int primary key, code text constraint by_code references referred (code));
      insert into referred values (1, 'a'), (2, 'b'); insert into referring values (1, 'a');
    `);
    const loaded = await bench.loadOne("referred", key, [
      { k: 1, code: "A" },
      { k: 2, code: "B" },
    ]);
    expect(summarize(loaded)).toEqual([[1, null, "CONSTRAINT_FK", "by_code"]]);
    expect(await bench.rows("referred", "code")).toEqual([["a"], ["b"]]);
  });
});

describe("V27: what holds the natural key must be able to", () => {
  const input = { batchId: "", action: "load", dryRun: false, force: false, source: "manual" } as const;

  async function plan(table: string, contract: object): Promise<string> {
    const { contracts, faults } = parseContracts(JSON.stringify({ tables: { [table]: contract } }));
    const catalog = await bench.catalog([table]);
    if (!contracts) throw new Error(faults.join("; "));
    expect(contractFaults(contracts, catalog)).toEqual([]);
    try {
      const plans = planTables([table], { contracts: { hash: "", contracts }, catalog, input });
      return plans.map(({ guarded }) => (guarded ? "guarded" : "open")).join();
    } catch (error) {
      return (error as Error).message;
    }
  }

  test("an exclusion constraint on the key is refused at planning", async () => {
    await bench.sql.unsafe(
      "create table excluded (k int not null, n int, constraint k_excluded exclude using gist (k with =))",
    );
    expect(await plan("excluded", key)).toMatch(/^TABLE_UNSUPPORTED: table excluded: .*k_excluded/);
  });

  test("deferrable, partial and invalid indexes are refused, unless a plain one is there, too", async () => {
    await bench.sql.unsafe(`
      create table put_off (a int, b int, constraint put_off_key unique (b, a) deferrable initially deferred);
      create table in_part (a int, b int); create unique index in_part_key on in_part (a, b) where a > 0;
      create table both_ways (a int, b int, unique (a, b) deferrable, constraint plain unique (b, a));
      create table included (a int, b int, c int, unique (a, b) include (c));
      create table twins (a int, b int); insert into twins values (1, 1), (1, 1);
    `);
    // A build that fails leaves its index behind, invalid.
    await expect(bench.sql`create unique index concurrently twins_key on twins (a, b)`).rejects.toThrow("twins_key");
    const pair = { natural_key: ["a", "b"] };
    expect(await plan("put_off", pair)).toMatch(/^TABLE_UNSUPPORTED: table put_off: unique index put_off_key/);
    expect(await plan("in_part", pair)).toMatch(/^TABLE_UNSUPPORTED: table in_part: unique index in_part_key/);
    expect(await plan("twins", pair)).toMatch(/^TABLE_UNSUPPORTED: table twins: unique index twins_key/);
    expect(await plan("both_ways", pair)).toBe("guarded");
    expect(await plan("included", pair)).toBe("guarded");
    expect(await plan("included", { natural_key: ["a"] })).toBe("open");
  });
});

describe("V31: partitions", () => {
  test("records without a partition are rejected, new and changed ones; a move counts as one update", async () => {
    await bench.sql.unsafe(`
      create table years (k int, y int, n int) partition by range (y);
      create table years_25 partition of years for values from (2025) to (2026);
      create table years_26 partition of years for values from (2026) to (2027) partition by list (n);
      create table years_26_1 partition of years_26 for values in (1, null);
      insert into years values (1, 2025, 0), (2, 2025, 1);
    `);
    const broken = [
      { k: 1, y: 2030 },
      { k: 3, y: 2026, n: 7 },
      { k: 4, n: 1 },
    ];
    const good = [
      { k: 2, y: 2026 },
      { k: 5, y: 2025, n: 9 },
    ];
    const loaded = await bench.loadOne("years", key, [...broken, ...good]);
    expect(summarize(loaded)).toEqual([1, 2, 3].map((record) => [record, null, "CONSTRAINT_PARTITION", null]));
    expect(countsOf(loaded, "years")).toEqual({ read: 5, loaded: 1, updated: 1, failed: 3 });
    expect(countsOf(await bench.loadOne("years", key, good), "years")).toEqual({ read: 2, loaded: 1, updated: 1 });
    expect(await bench.rows("years_26_1", "k, y, n")).toEqual([["2", "2026", "1"]]);
    expect(countsOf(await bench.loadOne("years", key, good), "years")).toEqual({ read: 2, unchanged: 2 });
  });

  test("checks, defaults and references of a partitioned table are those of an ordinary one", async () => {
    await bench.sql.unsafe(`
      create table owners (k int primary key); insert into owners values (1);
      create table owned (
        k int, y int, o int constraint to_owner references owners, n int default 5 constraint small check (n < 10), primary key (k, y)
      ) partition by list (y);
      create table owned_1 partition of owned for values in (1);
    `);
    const loaded = await bench.loadOne("owned", { natural_key: ["k", "y"] }, [
      { k: 1, y: 1, o: 9 },
      { k: 2, y: 1, n: 10 },
      { k: 3, y: 1, o: 1 },
    ]);
    expect(summarize(loaded)).toEqual([
      [1, "o", "CONSTRAINT_FK", "to_owner"],
      [2, "n", "CONSTRAINT_CHECK", "small"],
    ]);
  });
});

describe("V35: limits", () => {
  test("a row too big for a page is rejected, beside good ones", async () => {
    const names = range(1, 1100).map((n) => `c${n}`);
    await bench.sql.unsafe(`create table broad (k int primary key, ${names.map((name) => `${name} int8`).join(", ")})`);
    const full = Object.fromEntries(names.map((name) => [name, 1]));
    const loaded = await bench.loadOne("broad", key, [{ k: 1, c1: 1 }, { k: 2, ...full }, { k: 3 }]);
    expect(summarize(loaded)).toEqual([[2, null, "DB_LIMIT", null]]);
    expect(countsOf(loaded, "broad")).toEqual({ read: 3, loaded: 2, failed: 1 });
  });

  test("more values than a statement may have parameters arrive all the same", async () => {
    const names = range(1, 40).map((n) => `c${n}`);
    await bench.sql.unsafe(
      `create table parameters (k int primary key, ${names.map((name) => `${name} int`).join(", ")})`,
    );
    const records = range(1, 2000).map((k) => ({ k, ...Object.fromEntries(names.map((name) => [name, k])) }));
    expect(records.length * names.length).toBeGreaterThan(65_535);
    expect(countsOf(await bench.loadOne("parameters", key, records), "parameters")).toEqual({
      read: 2000,
      loaded: 2000,
    });
    expect(await bench.rows("parameters", "sum(c1), sum(c40)")).toEqual([["2001000", "2001000"]]);
  });
});

describe("D14: what the server would find in COMMIT only", () => {
  test("a deferred constraint trigger", async () => {
    await bench.sql.unsafe(`
      create table watched (k int primary key, n int);
      create function refuse_odd() returns trigger language plpgsql as $$
        begin if new.n % 2 = 1 then raise exception 'odd'; end if; return null; end $$;
      create constraint trigger at_the_end after insert or update on watched deferrable initially deferred
        for each row execute function refuse_odd();
    `);
    const records = range(1, 6).map((k) => ({ k, n: k }));
    const table = { contract: key, fragments: [records] };
    const loaded = await bench.load({ watched: table });
    expect(loaded.outcome).toBe("rejected");
    expect(summarize(loaded)).toEqual([1, 3, 5].map((record) => [record, null, "CONSTRAINT_TRIGGER", null]));
    expect(summarize(await bench.preview({ watched: table }))).toEqual(summarize(loaded));
    expect(await bench.rows("watched", "k")).toEqual([]);
  });

  test("a deferred reference to a row that this load changes away, and a deferred exclusion", async () => {
    await bench.sql.unsafe(`
      create table stations (k int primary key, code text unique);
      create table trains (k int primary key, code text,
        constraint stops_at foreign key (code) references stations (code) deferrable initially deferred);
      insert into stations values (1, 'old'); insert into trains values (1, 'old');
      create table slots (k int primary key, at int, constraint one_each exclude using gist (at with =) deferrable initially deferred);
    `);
    const moved = await bench.loadOne("stations", key, [{ k: 1, code: "new" }]);
    expect(summarize(moved)).toEqual([[1, null, "CONSTRAINT_FK", "stops_at"]]);
    const slots = await bench.loadOne("slots", key, [
      { k: 1, at: 1 },
      { k: 2, at: 2 },
      { k: 3, at: 1 },
    ]);
    expect(summarize(slots)).toEqual([[3, null, "CONSTRAINT_EXCLUSION", "one_each"]]);
  });
});
