import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countsOf, openTarget, summarize, type TargetBench } from "./support.ts";

let bench: TargetBench;
beforeAll(async () => {
  bench = await openTarget();
});
afterAll(() => bench.close());

/** A table with three stored rows: a complete, an incomplete and an old one. */
async function makeTable(name: string): Promise<void> {
  await bench.sql.unsafe(`
    create table ${name} (
      k text primary key, a text, n int, seen timestamptz,
      created_at timestamptz not null default '2020-01-01Z', updated_at timestamptz not null default '2020-01-01Z',
      created_by text not null default 'first'
    );
    insert into ${name} (k, a, n, seen) values ('1', 'one', 1, '2026-01-01Z'), ('2', null, 2, null), ('3', 'three', 3, '2026-03-01Z');
  `);
}

const columns = "k, a, n";
const batch = [
  { k: "1", a: null, n: 10, seen: "2026-02-01T00:00:00Z" },
  { k: "2", a: "two", seen: "2026-02-01T00:00:00Z" },
  { k: "3", a: "three", n: 3, seen: "2026-02-01T00:00:00Z" },
  { k: "4", n: 4, seen: "2026-02-01T00:00:00Z" },
];
const key = { natural_key: ["k"] };

describe("B3, B4: strategies and resolutions", () => {
  test("merge: null and absent keep what is stored (C4)", async () => {
    await makeTable("merging");
    const loaded = await bench.loadOne("merging", { ...key, conflict_resolution: "merge" }, batch);
    expect(countsOf(loaded, "merging")).toEqual({ read: 4, loaded: 1, updated: 3 });
    expect(await bench.rows("merging", columns)).toEqual([
      ["1", "one", "10"],
      ["2", "two", "2"],
      ["3", "three", "3"],
      ["4", null, "4"],
    ]);
  });

  test("replace: null overwrites, absent does not", async () => {
    await makeTable("replacing");
    await bench.loadOne("replacing", { ...key, conflict_resolution: "replace" }, batch);
    expect(await bench.rows("replacing", columns)).toEqual([
      ["1", null, "10"],
      ["2", "two", "2"],
      ["3", "three", "3"],
      ["4", null, "4"],
    ]);
  });

  test("skip: stored rows stay, new ones are inserted", async () => {
    await makeTable("skipping");
    const loaded = await bench.loadOne("skipping", { ...key, conflict_resolution: "skip" }, batch);
    expect(countsOf(loaded, "skipping")).toEqual({ read: 4, loaded: 1, skipped: 3 });
    expect(await bench.rows("skipping", columns)).toEqual([
      ["1", "one", "1"],
      ["2", null, "2"],
      ["3", "three", "3"],
      ["4", null, "4"],
    ]);
  });

  test("newest: only a greater newer_by updates; a stored null is older than anything", async () => {
    await makeTable("newest");
    const contract = { ...key, conflict_resolution: "newest", newer_by: "seen" };
    const loaded = await bench.loadOne("newest", contract, batch);
    expect(countsOf(loaded, "newest")).toEqual({ read: 4, loaded: 1, updated: 2, skipped: 1 });
    expect(await bench.rows("newest", columns)).toEqual([
      ["1", null, "10"],
      ["2", "two", "2"],
      ["3", "three", "3"],
      ["4", null, "4"],
    ]);
  });

  test("newest: a record without newer_by is not newer, and the same instant is not newer", async () => {
    await makeTable("newest_null");
    const contract = { ...key, conflict_resolution: "newest", newer_by: "seen" };
    const loaded = await bench.loadOne("newest_null", contract, [
      { k: "1", a: "x", seen: "2026-01-01T01:00:00+01:00" },
      { k: "2", a: "x" },
      { k: "3", a: "x", seen: null },
    ]);
    expect(countsOf(loaded, "newest_null")).toEqual({ read: 3, skipped: 3 });
  });

  test("insert_only: stored keys are skipped, whatever they hold", async () => {
    await makeTable("inserting");
    const loaded = await bench.loadOne("inserting", { ...key, update_strategy: "insert_only" }, batch);
    expect(countsOf(loaded, "inserting")).toEqual({ read: 4, loaded: 1, skipped: 3 });
    expect((await bench.rows("inserting", columns))[0]).toEqual(["1", "one", "1"]);
  });

  test("update_only: unknown keys are skipped", async () => {
    await makeTable("updating");
    const loaded = await bench.loadOne("updating", { ...key, update_strategy: "update_only" }, batch);
    expect(countsOf(loaded, "updating")).toEqual({ read: 4, updated: 3, skipped: 1 });
    expect(await bench.rows("updating", "k")).toEqual([["1"], ["2"], ["3"]]);
  });

  test("immutable fields stay, and attempts to change them are counted", async () => {
    await makeTable("fixed");
    const contract = { ...key, immutable_fields: ["a"], columns: { created_by: { immutable: true } } };
    const loaded = await bench.loadOne("fixed", contract, [
      { k: "1", a: "other", n: 1, created_by: "someone" },
      { k: "2", a: "now known", n: 5 },
      { k: "3", a: "three", created_by: "first" },
      { k: "4", a: "new", created_by: "me" },
    ]);
    expect(countsOf(loaded, "fixed")).toEqual({ read: 4, loaded: 1, updated: 1, unchanged: 2 });
    expect(loaded.tables["fixed"]?.immutableAttempts).toEqual({ a: 2, created_by: 1 });
    expect(await bench.rows("fixed", "k, a, n, created_by")).toEqual([
      ["1", "one", "1", "first"],
      ["2", null, "5", "first"],
      ["3", "three", "3", "first"],
      ["4", "new", null, "me"],
    ]);
  });
});

describe("unchanged rows", () => {
  test("are not touched: xmin, updated_at and created_at stay; changed ones get updated_at only", async () => {
    await makeTable("stamped");
    const stamps = "k, xmin, created_at, updated_at > '2021-01-01'";
    const before = await bench.rows("stamped", "k, xmin");
    const records = [{ k: "1", a: "one", n: 1 }, { k: "2", n: 2, a: null }, { k: "3", n: 33 }, { k: "4" }];
    const loaded = await bench.loadOne("stamped", { ...key, conflict_resolution: "replace" }, records);
    expect(countsOf(loaded, "stamped")).toEqual({ read: 4, loaded: 1, updated: 1, unchanged: 2 });
    const after = await bench.rows("stamped", stamps);
    expect(after.map(([k, , created, fresh]) => [k, created?.slice(0, 4), fresh])).toEqual([
      ["1", "2020", "false"],
      ["2", "2020", "false"],
      ["3", "2020", "true"],
      ["4", "2020", "false"],
    ]);
    expect(after.slice(0, 2).map(([, xmin]) => xmin)).toEqual(before.slice(0, 2).map(([, xmin]) => xmin));
    expect(after[2]?.[1]).not.toBe(before[2]?.[1]);
  });

  test("system columns that a fragment carries are read over (B6)", async () => {
    await makeTable("excluded");
    const records = [{ Id: 77, k: "1", a: "1!", created_at: "1999-01-01", updated_at: "not even a date" }];
    expect(countsOf(await bench.loadOne("excluded", key, records), "excluded")).toEqual({ read: 1, updated: 1 });
    expect(await bench.rows("excluded", "extract(year from created_at)", "k")).toEqual([["2020"], ["2020"], ["2020"]]);
  });

  test("an updated_at that the contract lets through is taken from the record, or set", async () => {
    await makeTable("own_stamp");
    const records = [
      { k: "1", n: 11, updated_at: "2025-05-05T00:00:00Z" },
      { k: "2", n: 22 },
    ];
    await bench.loadOne("own_stamp", { ...key, exclude_fields: [] }, records);
    const rows = await bench.rows("own_stamp", "extract(year from updated_at)", "k");
    expect(rows[0]).toEqual(["2025"]);
    expect(Number(rows[1]?.[0])).toBeGreaterThan(2025);
  });

  test("are told by what the column would show: case of citext, scale of numeric, an interval's fields", async () => {
    await bench.sql.unsafe(`
      create extension if not exists citext;
      create table shown (k int primary key, c citext, n numeric, f float8, i interval, j json, b jsonb);
      insert into shown values (1, 'Ab', 1.0, 0, '1 day', '{"a":1}', '{"a":1,"b":2}'), (2, 'ab', 1, 1, '1 day', '1', '1');
    `);
    const same = `{"k":1,"c":"Ab","n":1.0,"f":0.0,"i":"P1D","j":{"a":1},"b":{"b":2,"a":1}}`;
    const other = `{"k":2,"c":"AB","n":1.00,"f":1,"i":"PT24H","j":1,"b":1}`;
    const loaded = await bench.loadOne("shown", key2, `[${same},${other}]`);
    expect(countsOf(loaded, "shown")).toEqual({ read: 2, updated: 1, unchanged: 1 });
    expect((await bench.rows("shown", "k, c, n, i"))[1]).toEqual(["2", "AB", "1.00", "24:00:00"]);
  });
});

const key2 = { natural_key: ["k"], conflict_resolution: "replace" };

describe("defaults", () => {
  test("fill absent keys on insert: constants, now(), serial, identity, domain; null stays null", async () => {
    await bench.sql.unsafe(`
      create domain level as int default 7 check (value > 0);
      create table defaulted (
        k text primary key, s serial, i bigint generated by default as identity, c text default 'it''s', t timestamptz default now(),
        d level, u uuid default gen_random_uuid(), n int default 5 not null
      );
    `);
    const records = [
      { k: "1" },
      { k: "2", c: null, d: null, t: null },
      { k: "3", s: 40, i: 50, d: 9, n: 6 },
      { k: "4" },
    ];
    const loaded = await bench.loadOne("defaulted", key, records);
    expect(summarize(loaded)).toEqual([]);
    const rows = await bench.rows("defaulted", "k, s, i, c, d, n, t is null, u is null");
    expect(rows).toEqual([
      ["1", "1", "1", "it's", "7", "5", "false", "false"],
      ["2", "2", "2", null, null, "5", "true", "false"],
      ["3", "40", "50", "it's", "9", "6", "false", "false"],
      ["4", "3", "3", "it's", "7", "5", "false", "false"],
    ]);
    const uuids = await bench.rows("defaulted", "count(distinct u)");
    expect(uuids).toEqual([["4"]]);
  });

  test("an explicit null in a serial or not-null column is rejected, not replaced (V23)", async () => {
    await bench.sql.unsafe("create table strict (k text primary key, s serial, n int not null default 5)");
    const loaded = await bench.loadOne("strict", key, [{ k: "1", s: null }, { k: "2", n: null }, { k: "3" }]);
    expect(summarize(loaded)).toEqual([
      [1, "s", "VALUE_NOT_NULL", null],
      [2, "n", "VALUE_NOT_NULL", null],
    ]);
  });
});

describe("audit and undo (B5, E4)", () => {
  test("keep a row per change with old and new values, and an image per changed row", async () => {
    await makeTable("audited");
    await bench.loadOne("audited", { ...key, audit_changes: true }, batch);
    const audit = await bench.sql`
      select operation, record_id, old_values->>'n' as old, new_values->>'n' as new from audit_log
      where table_name = 'audited' order by record_id`;
    expect(audit.map((row) => Object.values(row))).toEqual([
      ["UPDATE", "1", "1", "10"],
      ["UPDATE", "2", "2", "2"],
      ["UPDATE", "3", "3", "3"],
      ["INSERT", "4", null, "4"],
    ]);
    const images = await bench.sql`
      select operation, row_key->>'k' as key, old_row->>'n' as n from table_loader.undo_rows
      where table_name = 'audited' order by 2`;
    expect(images.map((row) => Object.values(row))).toEqual([
      ["update", "1", "1"],
      ["update", "2", "2"],
      ["update", "3", "3"],
      ["insert", "4", null],
    ]);
  });
});
