import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countsOf, type LoadTables, openTarget, summarize, type TargetBench } from "./support.ts";

let bench: TargetBench;
beforeAll(async () => {
  bench = await openTarget();
  await bench.sql.unsafe("create extension if not exists citext");
});
afterAll(() => bench.close());

const key = { natural_key: ["k"] };

describe("T01: one key twice", () => {
  test("identical twins collapse, over fragments and spellings; different ones name each other", async () => {
    await bench.sql.unsafe("create table twins (k int primary key, n numeric(6,2), t timestamptz)");
    const first = `[{"k":1,"n":1.5,"t":"2026-01-01T00:00:00Z"},{"k":"1","t":"2026-01-01T02:00:00+02:00","n":"1.50"},{"k":2,"n":1}]`;
    const second = `[{"k":1.0,"n":1.50,"t":"2026-01-01T00:00:00Z"},{"k":3,"n":1},{"k":2,"n":2},{"k":2,"n":1}]`;
    const contract = { contract: key, fragments: [first, second] };
    const loaded = await bench.load({ twins: contract });
    expect(countsOf(loaded, "twins")).toEqual({ read: 7, loaded: 2, collapsed: 2, failed: 3 });
    expect(summarize(loaded)).toEqual([
      [3, "k", "KEY_DUPLICATE", null],
      [3, "k", "KEY_DUPLICATE", null],
      [4, "k", "KEY_DUPLICATE", null],
    ]);
    const [reject] = loaded.rejects;
    expect(reject?.got).toBe("k=2");
    expect(reject?.expected).toMatch(/record 3 of .*part-2\.json, record 4 of .*part-2\.json$/);
    expect(await bench.rows("twins", "k")).toEqual([]);
    const fine = await bench.load({ twins: { contract: key, fragments: [`[${first.slice(1).split(',{"k":2')[0]}]`] } });
    expect(countsOf(fine, "twins")).toEqual({ read: 2, loaded: 1, collapsed: 1 });
  });

  test("an absent field is not a null one", async () => {
    await bench.sql.unsafe("create table absent_twins (k int primary key, n int)");
    const loaded = await bench.loadOne("absent_twins", key, [
      { k: 1 },
      { k: 1, n: null },
      { k: 2, n: null },
      { n: null, k: 2 },
    ]);
    expect(countsOf(loaded, "absent_twins")).toEqual({ read: 4, loaded: 1, collapsed: 1, failed: 2 });
  });

  test("with newest the greater newer_by wins; the same newer_by with other values is a duplicate", async () => {
    await bench.sql.unsafe(
      "create table races (k int primary key, n int, at timestamptz); insert into races values (4, 0, '2026-02-01Z')",
    );
    const contract = { ...key, conflict_resolution: "newest", newer_by: "at" };
    const loaded = await bench.loadOne("races", contract, [
      { k: 1, n: 1, at: "2026-01-01T00:00:00Z" },
      { k: 1, n: 2, at: "2026-03-01T00:00:00Z" },
      { k: 1, n: 3, at: "2026-02-01T00:00:00Z" },
      { k: 2, n: 1 },
      { k: 2, n: 2, at: "2026-01-01T00:00:00Z" },
      { k: 4, n: 5, at: "2026-01-01T00:00:00Z" },
      { k: 4, n: 6, at: "2026-01-15T00:00:00Z" },
    ]);
    expect(countsOf(loaded, "races")).toEqual({ read: 7, loaded: 2, skipped: 1, collapsed: 4 });
    expect(await bench.rows("races", "k, n")).toEqual([
      ["1", "2"],
      ["2", "2"],
      ["4", "0"],
    ]);
    const tied = await bench.loadOne("races", contract, [
      { k: 5, n: 1, at: "2026-01-01T00:00:00Z" },
      { k: 5, n: 2, at: "2026-01-01T01:00:00+01:00" },
    ]);
    expect(summarize(tied)).toEqual([
      [1, "k", "KEY_DUPLICATE", null],
      [2, "k", "KEY_DUPLICATE", null],
    ]);
  });

  test("keys are equal as their column sees it: citext, numeric, composite", async () => {
    await bench.sql.unsafe(`
      create table folded (c citext, n numeric, v text, primary key (c, n)); insert into folded values ('Ann', 1, 'stored');
    `);
    const contract = { natural_key: ["c", "n"] };
    const matched = await bench.loadOne("folded", contract, `[{"c":"ANN","n":1.00,"v":"new"},{"c":"Bob","n":2}]`);
    expect(countsOf(matched, "folded")).toEqual({ read: 2, loaded: 1, updated: 1 });
    expect(await bench.rows("folded", "c, n, v")).toEqual([
      ["Ann", "1", "new"],
      ["Bob", "2", null],
    ]);
    const twins = await bench.loadOne(
      "folded",
      contract,
      `[{"c":"Eve","n":1},{"c":"eve","n":1.0,"v":"x"},{"c":"Eve","n":2}]`,
    );
    expect(summarize(twins).map(([record, field, code]) => [record, field, code])).toEqual([
      [1, "c, n", "KEY_DUPLICATE"],
      [2, "c, n", "KEY_DUPLICATE"],
    ]);
  });
});

describe("collations", () => {
  test("a column's own collation decides whether keys are equal, and never gets in the way", async () => {
    await bench.sql.unsafe(`
      create collation any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      create table collated (
        k text collate "C" primary key, v varchar(9) collate "und-x-icu", c char(4) collate "C", d text[] collate "C",
        constraint v_key unique (v), constraint v_check check (v <> 'bad')
      );
      create table caseless (k text collate any_case primary key, v text collate any_case);
      insert into caseless values ('Ann', 'x');
    `);
    const records = [
      { k: "a", v: "1", c: "x", d: ["y"] },
      { k: "A", v: "2" },
    ];
    expect(countsOf(await bench.loadOne("collated", key, records), "collated")).toEqual({ read: 2, loaded: 2 });
    expect(countsOf(await bench.loadOne("collated", key, records), "collated")).toEqual({ read: 2, unchanged: 2 });
    const rejected = await bench.loadOne("collated", key, [
      { k: "b", v: "1" },
      { k: "c", v: "bad" },
    ]);
    expect(summarize(rejected).map(([, , code]) => code)).toEqual(["CONSTRAINT_UNIQUE", "CONSTRAINT_CHECK"]);
    const folded = await bench.loadOne("caseless", key, [
      { k: "ANN", v: "X" },
      { k: "Bob", v: "y" },
    ]);
    expect(countsOf(folded, "caseless")).toEqual({ read: 2, loaded: 1, updated: 1 });
    expect(await bench.rows("caseless", "k, v", 'k collate "C"')).toEqual([
      ["Ann", "X"],
      ["Bob", "y"],
    ]);
    const twins = await bench.loadOne("caseless", key, [
      { k: "Eve", v: "1" },
      { k: "EVE", v: "2" },
    ]);
    expect(twins.rejected).toBe(2);
  });
});

test("every comparable type can be a key: inserted, updated, audited, and found again", async () => {
  await bench.sql.unsafe("create type size as enum ('S', 'L'); create domain code as varchar(5) check (value <> '')");
  const keys: readonly (readonly [string, unknown, unknown])[] = [
    ["uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"],
    ["bytea", "\\x00ff", "00FF"],
    ["date", "2026-01-01", "2026-01-01"],
    ["timestamptz", "2026-01-01T00:00:00Z", "2026-01-01T05:30:00+0530"],
    ["boolean", true, "yes"],
    ["size", "S", "S"],
    ["code", "a'b", "a'b"],
    ["char(4)", "ab", "ab  "],
    ["numeric", 1.5, "1.50"],
    ["float8", 0.1, "0.1"],
    ["int[]", [1, 2], ["1", 2]],
    ["jsonb", { a: 1, b: [2] }, { b: [2], a: 1 }],
    ["inet", "10.0.0.1", "10.0.0.1/32"],
    ["interval", "P1D", "P1D"],
  ];
  for (const [place, [type]] of keys.entries()) {
    await bench.sql.unsafe(`create table key_${place} (k ${type} primary key, v int, w numeric)`);
  }
  const contract = { ...key, audit_changes: true };
  const everywhere = (record: (row: (typeof keys)[number]) => object): LoadTables =>
    Object.fromEntries(keys.map((row, place) => [`key_${place}`, { contract, fragments: [[record(row)]] }]));
  const inserted = await bench.load(everywhere(([, k]) => ({ k, v: 1 })));
  const updated = await bench.load(everywhere(([, , k]) => ({ k, v: 2 })));
  const again = await bench.load(everywhere(([, k]) => ({ k, v: 2 })));
  const seen = keys.map(([type], place) => [
    type,
    ...[inserted, updated, again].map((load) => countsOf(load, `key_${place}`)),
  ]);
  expect(seen).toEqual(
    keys.map(([type]) => [type, { read: 1, loaded: 1 }, { read: 1, updated: 1 }, { read: 1, unchanged: 1 }]),
  );
  const audit = await bench.sql`select count(*)::int as rows from audit_log where table_name like 'key\\_%'`;
  expect(audit).toEqual([{ rows: 2 * keys.length }]);
});

test("J14: a key too long for its index is rejected as a limit of the database, beside good records", async () => {
  await bench.sql.unsafe("create table long_keys (k text primary key)");
  const k = Array.from({ length: 200_000 }, (_, n) => n.toString(36)).join("");
  const loaded = await bench.loadOne("long_keys", key, [{ k: "a" }, { k }, { k: "b" }]);
  expect(summarize(loaded)).toEqual([[2, null, "DB_LIMIT", null]]);
  expect(loaded.rejects[0]?.expected).toContain("index row requires");
});

test("V31: a partitioned table takes rows, and an update moves one to another partition", async () => {
  await bench.sql.unsafe(`
    create table parts (k int, p int, v int, primary key (k, p)) partition by list (p);
    create table parts_1 partition of parts for values in (1); create table parts_2 partition of parts for values in (2);
    create table moved (k int, p int) partition by list (p);
    create table moved_1 partition of moved for values in (1); create table moved_2 partition of moved for values in (2);
  `);
  const contract = { natural_key: ["k", "p"] };
  await bench.loadOne("parts", contract, [
    { k: 1, p: 1, v: 1 },
    { k: 1, p: 2, v: 1 },
  ]);
  const updated = await bench.loadOne("parts", contract, [{ k: 1, p: 2, v: 5 }]);
  expect(countsOf(updated, "parts")).toEqual({ read: 1, updated: 1 });
  await bench.loadOne("moved", key, [{ k: 1, p: 1 }]);
  expect(countsOf(await bench.loadOne("moved", key, [{ k: 1, p: 2 }]), "moved")).toEqual({ read: 1, updated: 1 });
  expect(await bench.rows("moved_2", "k, p")).toEqual([["1", "2"]]);
});

describe("T03: no key", () => {
  test("null, missing and empty are KEY_NULL; an empty text key needs to be allowed", async () => {
    await bench.sql.unsafe("create table keyed (a text, b int, n int, primary key (a, b))");
    const records = [{ a: "x", b: null }, { b: 1 }, { a: "", b: 1 }, { a: "NA", b: 2 }, { a: null }];
    for (const nulls of [undefined, []]) {
      const contract = { natural_key: ["a", "b"], null_values: nulls };
      const loaded = await bench.loadOne("keyed", contract, nulls ? records.filter(({ a }) => a !== "NA") : records);
      const fields = loaded.rejects.map(({ record, field, code, got }) => [record, field, code, got]);
      expect(fields).toContainEqual([1, "b", "KEY_NULL", "null"]);
      expect(fields).toContainEqual([2, "a", "KEY_NULL", "no such field"]);
      expect(fields).toContainEqual([3, "a", "KEY_NULL", "null"]);
      expect(loaded.rejected).toBe(nulls ? 4 : 5);
    }
    const allowed = { natural_key: ["a", "b"], columns: { a: { allow_empty_key: true } } };
    expect(countsOf(await bench.loadOne("keyed", allowed, [{ a: "", b: 1 }]), "keyed")).toEqual({ read: 1, loaded: 1 });
  });
});

describe("a natural key without unique index", () => {
  test("is loaded under a lock; a key that is stored twice is KEY_NOT_UNIQUE", async () => {
    await bench.sql.unsafe(`
      create table loose (k text, n int); insert into loose values ('twice', 1), ('twice', 2), ('once', 1), (null, 0);
    `);
    const loaded = await bench.loadOne("loose", key, [
      { k: "twice", n: 3 },
      { k: "once", n: 3 },
      { k: "new", n: 3 },
    ]);
    expect(summarize(loaded)).toEqual([[1, "k", "KEY_NOT_UNIQUE", null]]);
    const fine = await bench.loadOne("loose", key, [
      { k: "once", n: 3 },
      { k: "new", n: 3 },
    ]);
    expect(countsOf(fine, "loose")).toEqual({ read: 2, loaded: 1, updated: 1 });
    expect(await bench.rows("loose", "k, n", "k nulls first, n")).toEqual([
      [null, "0"],
      ["new", "3"],
      ["once", "3"],
      ["twice", "1"],
      ["twice", "2"],
    ]);
  });

  test("two loads at once insert no twins", async () => {
    await bench.sql.unsafe("create table contended (k int, n int)");
    const records = Array.from({ length: 50 }, (_, k) => ({ k, n: 1 }));
    const loads = await Promise.all([1, 2, 3].map(() => bench.loadOne("contended", key, records)));
    expect(loads.map(({ outcome }) => outcome)).toEqual(["committed", "committed", "committed"]);
    expect(await bench.rows("contended", "count(*)")).toEqual([["50"]]);
  });
});

describe("C04: a row that another session stores meanwhile", () => {
  test("is seen on a second look, and updated", async () => {
    await bench.sql.unsafe("create table raced (k int primary key, n int)");
    const app = bench.database.connect({ max: 1 });
    const tx = await app.reserve();
    await tx`begin`;
    await tx`insert into raced values (1, 0)`;
    const loading = bench.loadOne("raced", key, [
      { k: 1, n: 5 },
      { k: 2, n: 5 },
    ]);
    await waitForLock();
    await tx`commit`;
    tx.release();
    expect(countsOf(await loading, "raced")).toEqual({ read: 2, loaded: 1, updated: 1 });
    expect(await bench.rows("raced", "k, n")).toEqual([
      ["1", "5"],
      ["2", "5"],
    ]);
  });

  /** Until some session waits for a lock: the loader's insert for the other's row. */
  async function waitForLock(): Promise<void> {
    for (;;) {
      const [row] = await bench.sql`select count(*)::int as waiting from pg_locks where not granted`;
      if (row?.["waiting"] > 0) return;
    }
  }
});
