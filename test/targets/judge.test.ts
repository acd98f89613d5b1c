import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { countsOf, openTarget, summarize, type TargetBench } from "./support.ts";

let bench: TargetBench;
beforeAll(async () => {
  bench = await openTarget();
});
afterAll(() => bench.close());

const key = { natural_key: ["k"] };
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe("values", () => {
  test("V23: enum, domain check, domain not null", async () => {
    await bench.sql.unsafe(`
      create type colour as enum ('red', 'Blue');
      create domain positive as int check (value > 0);
      create domain given as text not null;
      create table typed (k int primary key, c colour, p positive, g given, h given default 'x', cs colour[]);
    `);
    const loaded = await bench.loadOne("typed", key, [
      { k: 1, c: "red", p: 1, g: "a", cs: ["red", null] },
      { k: 2, c: "blue", p: 1, g: "a" },
      { k: 3, c: "Red", p: -5, g: "a" },
      { k: 4, p: -6, g: "a" },
      { k: 5, g: null },
      { k: 6 },
      { k: 7, g: "a", cs: ["green"] },
    ]);
    expect(summarize(loaded)).toEqual([
      [2, "c", "VALUE_ENUM", null],
      [3, "c", "VALUE_ENUM", null],
      [4, "p", "CONSTRAINT_CHECK", "positive"],
      [5, "g", "VALUE_NOT_NULL", null],
      [6, "g", "VALUE_NOT_NULL", null],
      [7, "cs", "VALUE_ENUM", null],
    ]);
    expect(loaded.rejects[0]?.expected).toBe('exactly one of "red", "Blue"');
    expect(loaded.rejects.at(-1)?.expected).toContain("colour");
    expect(await bench.rows("typed", "k")).toEqual([]);
  });

  test("V23: a not-null domain without value in a column that fragments do not write", async () => {
    await bench.sql.unsafe(`
      create domain obliged as int not null;
      create table obliging (k int primary key, "Id" obliged, n int);
      insert into obliging values (1, 1, 1);
    `);
    const loaded = await bench.loadOne("obliging", key, [
      { k: 1, n: 2 },
      { k: 2, n: 2 },
    ]);
    expect(summarize(loaded)).toEqual([[2, "Id", "VALUE_NOT_NULL", null]]);
  });

  test("V09: with null_values [] an empty string is text, and no int, date, uuid or bool", async () => {
    await bench.sql.unsafe("create table empties (k int primary key, t text, n int, d date, u uuid, b bool, x text)");
    const contract = { ...key, null_values: [], columns: { x: { null_values: ["-"] } } };
    const loaded = await bench.loadOne("empties", contract, [
      { k: 1, t: "", x: "-" },
      { k: 2, t: "NULL", x: "NULL" },
      { k: 3, n: "", d: "", u: "", b: "" },
    ]);
    expect(summarize(loaded)).toEqual(["n", "d", "u", "b"].map((field) => [3, field, "VALUE_TYPE", null]));
    const clean = await bench.loadOne("empties", contract, [
      { k: 1, t: "", x: "-" },
      { k: 2, t: "NULL", x: "NULL" },
    ]);
    expect(clean.outcome).toBe("committed");
    expect(await bench.rows("empties", "k, t, x")).toEqual([
      ["1", "", null],
      ["2", "NULL", "NULL"],
    ]);
  });

  test("V07: literal texts stay texts, an integer column of 0 and 1 stays one, and NA is null by default", async () => {
    await bench.sql.unsafe("create table literal (k int primary key, t text, n int)");
    const texts = ["1", "0", "true", "null", "None", "-", "na"];
    await bench.loadOne("literal", key, [...texts.map((t, k) => ({ k, t, n: k % 2 })), { k: 100, t: "NA", n: "" }]);
    expect((await bench.rows("literal", "t, n", "k")).map(([t, n]) => [t, n])).toEqual([
      ...texts.map((t, k) => [t, String(k % 2)]),
      [null, null],
    ]);
  });

  test("V20: arrays are stored element by element", async () => {
    await bench.sql.unsafe("create table arrays (k int primary key, n int[], t text[], m int[])");
    const strange = [null, "NULL", "a,b", "{x}", '"', "\\", "", " "];
    const loaded = await bench.loadOne("arrays", key, [
      {
        k: 1,
        n: [1, null],
        t: strange,
        m: [
          [1, 2],
          [3, 4],
        ],
      },
      { k: 2, n: [], t: [] },
    ]);
    expect(loaded.outcome).toBe("committed");
    const [row] = await bench.sql`select array_to_json(t) as t, array_to_json(m) as m from arrays where k = 1`;
    expect(row).toEqual({
      t: strange,
      m: [
        [1, 2],
        [3, 4],
      ],
    });
    const bad = await bench.loadOne("arrays", key, [
      { k: 3, m: [[1], [2, 3]] },
      { k: 4, n: 5 },
      { k: 5, n: { a: 1 } },
    ]);
    expect(summarize(bad).map(([record, , code]) => [record, code])).toEqual(range(1, 3).map((k) => [k, "VALUE_TYPE"]));
  });

  test("V24: generated columns and identity always cannot be written", async () => {
    await bench.sql.unsafe(`
      create table made (k int primary key, i bigint generated always as identity, n int, d int generated always as (n * 2) stored)
    `);
    const loaded = await bench.loadOne("made", key, [
      { k: 1, n: 1, d: 2 },
      { k: 2, i: 9 },
      { k: 3, n: 4 },
    ]);
    expect(summarize(loaded)).toEqual([
      [1, "d", "COLUMN_READONLY", null],
      [2, "i", "COLUMN_READONLY", null],
    ]);
    await bench.loadOne("made", key, [{ k: 3, n: 4 }]);
    expect((await bench.rows("made", "k, n, d"))[0]).toEqual(["3", "4", "8"]);
  });

  test("the server has the last word on types that the transform does not know completely", async () => {
    await bench.sql.unsafe("create table asked (k int primary key, a inet, c cidr, i interval, j jsonb)");
    const loaded = await bench.loadOne("asked", key, [
      { k: 1, a: "10.0.0.1", c: "10.0.0.0/8", i: "P1D", j: { a: 1 } },
      { k: 2, c: "10.0.0.1/8" },
      { k: 3, a: "10.0.0.1/99" },
    ]);
    expect(summarize(loaded)).toEqual([
      [2, "c", "VALUE_TYPE", null],
      [3, "a", "VALUE_TYPE", null],
    ]);
  });
});

describe("constraints", () => {
  test("V26: check, not null and a second unique key, all of them named at once", async () => {
    await bench.sql.unsafe(`
      create table guarded (
        k int primary key, n int not null, lo int, hi int, code text,
        constraint ordered check (lo <= hi), constraint code_key unique (code)
      );
      insert into guarded values (1000, 1, null, null, 'taken'), (1001, 1, null, null, 'mine');
    `);
    const loaded = await bench.loadOne("guarded", key, [
      ...range(1, 200).map((k) => ({ k, n: 1, lo: k, hi: 0 })),
      ...range(201, 400).map((k) => ({ k, n: null })),
      ...range(401, 450).map((k) => ({ k, n: 1, code: "taken" })),
      ...range(451, 500).map((k) => ({ k, n: 1, code: `twin ${Math.floor((k - 451) / 2)}` })),
      { k: 1001, n: 1, code: "mine" },
      { k: 1000, n: 1, code: "mine" },
      { k: 501, n: 1, lo: 1, hi: 1, code: "fine" },
    ]);
    expect(loaded.rejected).toBe(501);
    const byCode = Object.groupBy(loaded.rejects, ({ code, constraint }) => `${code} ${constraint}`);
    const counts = Object.fromEntries(Object.entries(byCode).map(([name, rejects]) => [name, rejects?.length]));
    expect(counts).toEqual({
      "CONSTRAINT_CHECK ordered": 200,
      "VALUE_NOT_NULL null": 200,
      "CONSTRAINT_UNIQUE code_key": 101,
    });
    expect(loaded.rejects.find(({ record }) => record === 1)).toMatchObject({ field: "lo, hi", got: "lo=1, hi=0" });
    expect(countsOf(loaded, "guarded")).toEqual({ read: 503, loaded: 1, unchanged: 1, failed: 501 });
    expect(await bench.rows("guarded", "k, code")).toEqual([
      ["1000", "taken"],
      ["1001", "mine"],
    ]);
  });

  test("a check and a not-null look at what an update would leave", async () => {
    await bench.sql.unsafe(`
      create table left_over (k int primary key, lo int, hi int not null, check (lo <= hi));
      insert into left_over values (1, 1, 5), (2, 1, 5), (3, 1, 5);
    `);
    const records = [
      { k: 1, lo: 9 },
      { k: 2, lo: 3 },
      { k: 3, hi: null },
    ];
    const loaded = await bench.loadOne("left_over", { ...key, conflict_resolution: "replace" }, records);
    expect(summarize(loaded)).toEqual([
      [1, "lo, hi", "CONSTRAINT_CHECK", "left_over_check"],
      [3, "hi", "VALUE_NOT_NULL", null],
    ]);
    expect((await bench.loadOne("left_over", key, [{ k: 3, hi: null }])).outcome).toBe("committed");
  });
});

describe("foreign keys", () => {
  test("T10, T12: parents first whatever the names; every orphan is named", async () => {
    await bench.sql.unsafe(`
      create table z_parent (a int, b text, n int, primary key (a, b));
      create table a_child (k int primary key, a int, b text, constraint to_parent foreign key (a, b) references z_parent);
      insert into z_parent values (0, 'stored', 1);
    `);
    const parent = {
      contract: { natural_key: ["a", "b"] },
      fragments: [
        [
          { a: 1, b: "x" },
          { a: 2, b: "x", n: "bad" },
        ],
      ],
    };
    const good = [{ k: 1, a: 1, b: "x" }, { k: 2, a: 0, b: "stored" }, { k: 3, a: 7 }, { k: 4 }];
    const orphans = [
      { k: 5, a: 1, b: "y" },
      { k: 6, a: 2, b: "x" },
    ];
    const loaded = await bench.load({
      a_child: { contract: key, fragments: [[...good, ...orphans]] },
      z_parent: parent,
    });
    expect(summarize(loaded)).toEqual([
      [5, "a, b", "CONSTRAINT_FK", "to_parent"],
      [6, "a, b", "CONSTRAINT_FK", "to_parent"],
      [2, "n", "VALUE_TYPE", null],
    ]);
    expect(loaded.rejects[0]?.got).toBe("a=1, b=y");
    const right = { ...parent, fragments: [[{ a: 1, b: "x" }]] };
    const done = await bench.load({ a_child: { contract: key, fragments: [good] }, z_parent: right });
    expect(countsOf(done, "a_child")).toEqual({ read: 4, loaded: 4 });
  });

  test("a table that refers to itself: children with their parents, orphans to the last descendant", async () => {
    await bench.sql.unsafe(`
      create table side (k int primary key);
      create table tree (
        k int primary key, up int constraint tree_up references tree, s int constraint a_side references side, n int check (n > 0)
      )
    `);
    const good = [{ k: 3, up: 2 }, { k: 2, up: 1 }, { k: 1 }, { k: 4, up: 4 }];
    const bad = [
      { k: 10, up: 99 },
      { k: 11, up: 10 },
      { k: 12, up: 11 },
      { k: 20, n: -1 },
      { k: 21, up: 20 },
    ];
    const side = [
      { k: 30, s: 5 },
      { k: 31, up: 30 },
    ];
    const loaded = await bench.loadOne("tree", key, [...good, ...bad, ...side]);
    expect(summarize(loaded)).toEqual([
      [5, "up", "CONSTRAINT_FK", "tree_up"],
      [6, "up", "CONSTRAINT_FK", "tree_up"],
      [7, "up", "CONSTRAINT_FK", "tree_up"],
      [8, "n", "CONSTRAINT_CHECK", "tree_n_check"],
      [9, "up", "CONSTRAINT_FK", "tree_up"],
      [10, "s", "CONSTRAINT_FK", "a_side"],
      [11, "up", "CONSTRAINT_FK", "tree_up"],
    ]);
    expect(countsOf(await bench.loadOne("tree", key, good), "tree")).toEqual({ read: 4, loaded: 4 });
  });

  test("D14: a deferred constraint is judged, too", async () => {
    await bench.sql.unsafe(`
      create table later_parent (k int primary key);
      create table later (k int primary key, p int constraint at_commit references later_parent deferrable initially deferred)
    `);
    const loaded = await bench.loadOne("later", key, [{ k: 1, p: 5 }]);
    expect(summarize(loaded)).toEqual([[1, "p", "CONSTRAINT_FK", "at_commit"]]);
  });
});

describe("triggers", () => {
  const trigger = (table: string, when: string, body: string): string => `
    create function ${table}_trigger() returns trigger language plpgsql as $$ begin ${body} end $$;
    create trigger t before ${when} on ${table} for each row execute function ${table}_trigger();
  `;

  test("one that drops rows breaks the balance: nothing is loaded", async () => {
    await bench.sql.unsafe(`
      create table dropping (k int primary key, n int); insert into dropping values (1, 1);
      ${trigger("dropping", "insert", "if new.k = 3 then return null; end if; return new;")}
    `);
    const loading = bench.loadOne("dropping", key, [{ k: 1, n: 2 }, { k: 2 }, { k: 3 }]);
    await expect(loading).rejects.toThrow(
      /^BALANCE_BROKEN: table dropping: 3 records were read and 2 are accounted for/,
    );
    await bench.sql.unsafe(`
      create table keeping (k int primary key, n int); insert into keeping values (1, 1), (2, 2);
      ${trigger("keeping", "update", "if old.k = 2 then return null; end if; return new;")}
    `);
    const updating = bench.loadOne("keeping", key, [
      { k: 1, n: 5 },
      { k: 2, n: 5 },
    ]);
    await expect(updating).rejects.toThrow(/^BALANCE_BROKEN: table keeping: 2 rows were to be updated and 1 were/);
    expect(await bench.rows("keeping", "k, n")).toEqual([
      ["1", "1"],
      ["2", "2"],
    ]);
  });

  test("one that raises rejects the record, with its text beside it", async () => {
    await bench.sql.unsafe(`
      create table raising (k int primary key, n int);
      ${trigger("raising", "insert", "raise exception 'secret value %', new.n;")}
      create table asserting (k int primary key, n int);
      ${trigger("asserting", "insert", "assert new.n < 0, 'secret value'; return new;")}
    `);
    for (const table of ["raising", "asserting"]) {
      const loaded = await bench.loadOne(table, key, [{ k: 1, n: 4711 }]);
      expect(summarize(loaded)).toEqual([[1, null, "CONSTRAINT_TRIGGER", null]]);
      expect(loaded.rejects[0]?.expected).toContain("the server says: secret value");
    }
  });
});

test("more than 1,000 rejects: all are counted, 1,000 are stored", async () => {
  await bench.sql.unsafe("create table many (k int primary key, n int check (n > 0))");
  const loaded = await bench.loadOne(
    "many",
    key,
    range(1, 1500).map((k) => ({ k, n: k % 3 === 0 ? "x" : -1 })),
  );
  expect(loaded.rejected).toBe(1500);
  expect(loaded.rejects).toHaveLength(1000);
  expect(new Set(loaded.rejects.map(({ code }) => code))).toEqual(new Set(["VALUE_TYPE", "CONSTRAINT_CHECK"]));
  expect(countsOf(loaded, "many")).toEqual({ read: 1500, failed: 1500 });
});
