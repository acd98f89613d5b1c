import { expect } from "vitest";
import { column, keyedBy, named, type Obligation, one, sorted } from "./obligation.ts";
import type { TargetUnderTest } from "./target-under-test.ts";

/** Which record becomes a row, changes one, or neither (B2-B4, C4, C5). */

/** A table with three stored rows: a complete, an incomplete and a late one. */
async function stored(target: TargetUnderTest, name: string): Promise<void> {
  await target.createTable(keyedBy(name, [column("a", "text"), column("n", "integer"), column("at", "instant")]));
  const rows = [
    { k: 1, a: "one", n: 1, at: "2026-01-01T00:00:00Z" },
    { k: 2, n: 2 },
    { k: 3, a: "three", n: 3, at: "2026-03-01T00:00:00Z" },
  ];
  await target.load(one(name, {}, rows));
}

const at = "2026-02-01T00:00:00Z";
const records = [
  { k: 1, a: null, n: 10, at },
  { k: 2, a: "two", at },
  { k: 3, a: "3", at },
  { k: 4, n: 4, at },
];

type Expected = { readonly counts: Readonly<Record<string, number>>; readonly rows: readonly (string | null)[][] };

/** Loads the four records under a contract over the three stored rows. */
function treats(name: string, contract: object, expected: Expected): Obligation {
  const table = `treated_${name.replaceAll(/\W+/g, "_")}`.slice(0, 30);
  return {
    name,
    fulfil: async (target) => {
      await stored(target, table);
      const loaded = await target.load(one(table, contract, records));
      expect(loaded.counts[table]).toEqual(expected.counts);
      expect(await sorted(target, table, ["k", "a", "n"])).toEqual(expected.rows);
    },
  };
}

const before = [
  ["1", "one", "1"],
  ["2", null, "2"],
  ["3", "three", "3"],
] as const;
const fourth = ["4", null, "4"] as const;
const rowsOf = (...rows: readonly (readonly (string | null)[])[]): (string | null)[][] => rows.map((row) => [...row]);

const merged = rowsOf(["1", "one", "10"], ["2", "two", "2"], ["3", "3", "3"], fourth);
const replaced = rowsOf(["1", null, "10"], ["2", "two", "2"], ["3", "3", "3"], fourth);

export const recordObligations: readonly Obligation[] = [
  treats(
    "B4: merge keeps what null and absent fields would take away",
    { conflict_resolution: "merge" },
    {
      counts: { read: 4, loaded: 1, updated: 3 },
      rows: merged,
    },
  ),
  treats(
    "B4: replace takes nulls, and keeps absent fields",
    { conflict_resolution: "replace" },
    {
      counts: { read: 4, loaded: 1, updated: 3 },
      rows: replaced,
    },
  ),
  treats(
    "B4: skip leaves stored rows alone",
    { conflict_resolution: "skip" },
    {
      counts: { read: 4, loaded: 1, skipped: 3 },
      rows: rowsOf(...before, fourth),
    },
  ),
  treats(
    "B4: newest changes only what is older",
    { conflict_resolution: "newest", newer_by: "at" },
    {
      counts: { read: 4, loaded: 1, updated: 2, skipped: 1 },
      rows: rowsOf(["1", null, "10"], ["2", "two", "2"], ["3", "three", "3"], fourth),
    },
  ),
  treats(
    "B3: insert_only skips stored keys",
    { update_strategy: "insert_only" },
    {
      counts: { read: 4, loaded: 1, skipped: 3 },
      rows: rowsOf(...before, fourth),
    },
  ),
  treats(
    "B3: update_only skips unknown keys",
    { update_strategy: "update_only" },
    {
      counts: { read: 4, updated: 3, skipped: 1 },
      rows: merged.slice(0, 3),
    },
  ),
  treats(
    "B2: immutable fields stay",
    { immutable_fields: ["a"], columns: { n: { immutable: true } } },
    {
      counts: { read: 4, loaded: 1, updated: 3 },
      rows: rowsOf(...before, fourth),
    },
  ),
  treats(
    "B11: a field that is filled only where it is null",
    { columns: { a: { fill_if_null: true } } },
    {
      counts: { read: 4, loaded: 1, updated: 3 },
      rows: rowsOf(["1", "one", "10"], ["2", "two", "2"], ["3", "three", "3"], fourth),
    },
  ),
  {
    name: "C4: an absent field takes the column's default on insert, null stays null",
    fulfil: async (target) => {
      await target.createTable(keyedBy("defaults", [column("a", "text", { default: "it's" })]));
      await target.load(one("defaults", {}, [{ k: 1 }, { k: 2, a: null }, { k: 3, a: "x" }]));
      expect(await sorted(target, "defaults", ["k", "a"])).toEqual([
        ["1", "it's"],
        ["2", null],
        ["3", "x"],
      ]);
    },
  },
  {
    name: "C5, T01: one key twice collapses where the records are the same, and is rejected where they differ",
    fulfil: async (target) => {
      await target.createTable(keyedBy("doubled", [column("n", { digits: 6, scale: 2 })]));
      const same = `[{"k":1,"n":1.5},{"n":"1.50","k":"1"}]`;
      const differing = `[{"k":2,"n":1},{"k":1,"n":1.5},{"k":2},{"k":3}]`;
      const rejected = await target.load(one("doubled", {}, same, differing));
      expect(named(rejected)).toEqual([
        [1, "k", "KEY_DUPLICATE"],
        [3, "k", "KEY_DUPLICATE"],
      ]);
      expect(rejected.counts["doubled"]).toEqual({ read: 6, loaded: 2, collapsed: 2, failed: 2 });
      const loaded = await target.load(one("doubled", {}, same));
      expect(loaded.counts["doubled"]).toEqual({ read: 2, loaded: 1, collapsed: 1 });
    },
  },
  {
    name: "T01: with newest, the newest of several records of a key wins",
    fulfil: async (target) => {
      await target.createTable(keyedBy("raced", [column("n", "integer"), column("at", "instant")]));
      const contract = { conflict_resolution: "newest", newer_by: "at" };
      const loaded = await target.load(
        one("raced", contract, [
          { k: 1, n: 1, at },
          { k: 1, n: 2, at: "2026-04-01T00:00:00Z" },
          { k: 1, n: 3 },
        ]),
      );
      expect(loaded.counts["raced"]).toEqual({ read: 3, loaded: 1, collapsed: 2 });
      expect(await sorted(target, "raced", ["n"])).toEqual([["2"]]);
    },
  },
  {
    name: "keys that are equal to the column and written differently meet, and the stored spelling stays",
    needs: ["caseless text"],
    fulfil: async (target) => {
      const columns = [column("c", "caseless"), column("n", "integer")];
      await target.createTable({ name: "folded", columns, key: ["c"] });
      const contract = { natural_key: ["c"] };
      await target.load(one("folded", contract, [{ c: "Ann", n: 1 }]));
      const loaded = await target.load(one("folded", contract, [{ c: "ANN", n: 2 }, { c: "Bob" }]));
      expect(loaded.counts["folded"]).toEqual({ read: 2, loaded: 1, updated: 1 });
      expect(await sorted(target, "folded", ["c", "n"])).toEqual([
        ["Ann", "2"],
        ["Bob", null],
      ]);
    },
  },
  {
    name: "T03: records without a key are rejected",
    fulfil: async (target) => {
      await target.createTable({
        name: "keyless",
        columns: [column("a", "text"), column("b", "integer")],
        key: ["a", "b"],
      });
      const contract = { natural_key: ["a", "b"] };
      const loaded = await target.load(
        one("keyless", contract, [{ a: "x", b: null }, { b: 1 }, { a: "", b: 2 }, { a: "x", b: 1 }]),
      );
      expect(named(loaded)).toEqual([
        [1, "b", "KEY_NULL"],
        [2, "a", "KEY_NULL"],
        [3, "a", "KEY_NULL"],
      ]);
    },
  },
  {
    name: "B9: unknown fields are rejected, or passed over",
    fulfil: async (target) => {
      await target.createTable(keyedBy("unknown", []));
      expect(named(await target.load(one("unknown", {}, [{ k: 1, extra: 1 }])))).toEqual([
        [1, "extra", "COLUMN_UNKNOWN"],
      ]);
      const ignored = await target.load(one("unknown", { unknown_fields: "ignore" }, [{ k: 1, extra: 1 }]));
      expect(ignored.counts["unknown"]).toEqual({ read: 1, loaded: 1 });
    },
  },
];
