import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { columnOf } from "../../lib/core/catalog.ts";
import { contractFaults, parseContracts } from "../../lib/core/contract.ts";
import { planTables } from "../../lib/core/plan.ts";
import { unsupportedTypes } from "../../lib/targets/postgres/encode/conversion-of.ts";
import { openTarget, type TargetBench } from "./support.ts";

let bench: TargetBench;
beforeAll(async () => {
  bench = await openTarget();
});
afterAll(() => bench.close());

const key = { natural_key: ["k"] };
const input = { batchId: "", action: "load", dryRun: false, force: false, source: "manual" } as const;

/** The refusal of a plan for these tables, or the order in which they are loaded. */
async function plan(tables: readonly string[], contracts: Readonly<Record<string, object>>): Promise<string> {
  const parsed = parseContracts(JSON.stringify({ tables: contracts }));
  if (!parsed.contracts) throw new Error(parsed.faults.join("; "));
  const catalog = await bench.catalog(tables);
  try {
    const plans = planTables(tables, { contracts: { hash: "", contracts: parsed.contracts }, catalog, input });
    return plans.map(({ table }) => table).join(", ");
  } catch (error) {
    return (error as Error).message;
  }
}

/** Type as it is declared, and what it comes down to. */
const oddColumns: Readonly<Record<string, readonly [type: string, base: string]>> = {
  p: ["point", "point"],
  v: ["tsvector", "tsvector"],
  m: ["money", "money"],
  h: ["hstore", "hstore"],
  s: ["size", "record"],
  ss: ["size[]", "record"],
  l: ["ltree", "ltree"],
  pn: ["path_name", "ltree"],
  w: ["words", "tsvector"],
  r: ["spread", "money"],
  mr: ["spread_multirange", "money"],
  o: ["oidvector", "oidvector"],
  n: ["name", "name"],
  c: ['"char"', "char"],
  x: ["xml", "xml"],
};

describe("what cannot be loaded is refused before anything is read", () => {
  test("T04: unknown table, no contract, no natural key", async () => {
    await bench.sql.unsafe("create table known (k int primary key)");
    expect(await plan(["nowhere"], { nowhere: key })).toMatch(/^TABLE_UNKNOWN: table nowhere: /);
    expect(await plan(["known"], { other: key })).toMatch(/^TABLE_NOT_ALLOWED: table known: /);
    expect(await plan(["known"], { known: {} })).toMatch(/^KEY_NOT_DEFINED: table known: /);
    for (const name of ["constructor", "__proto__", "toString"]) {
      expect(await plan([name], {})).toMatch(/^TABLE_UNKNOWN/);
    }
  });

  test("V27: a natural key on a deferrable or partial unique index", async () => {
    await bench.sql.unsafe(`
      create table deferred (k int unique deferrable, n int);
      create table partial (k int, n int); create unique index partial_idx on partial (k) where n > 0;
      create table both_kinds (k int primary key, n int); create unique index both_idx on both_kinds (k) where n > 0;
    `);
    expect(await plan(["deferred"], { deferred: key })).toMatch(
      /^TABLE_UNSUPPORTED: table deferred: unique index deferred_k_key/,
    );
    expect(await plan(["partial"], { partial: key })).toMatch(
      /^TABLE_UNSUPPORTED: table partial: unique index partial_idx/,
    );
    expect(await plan(["both_kinds"], { both_kinds: key })).toBe("both_kinds");
  });

  test("V30, V34: row security, views, materialized views, foreign and system tables", async () => {
    await bench.sql.unsafe(`
      create table secured (k int primary key); alter table secured enable row level security;
      create view seen as select 1 as k; create materialized view stored_view as select 1 as k;
    `);
    const { username: user, password } = new URL(bench.database.server.adminUrl);
    const admin = bench.database.connect({ user, password, max: 1 });
    await admin.unsafe(`
      create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
      create foreign table remote (k int) server nowhere;
    `);
    expect(await plan(["secured"], { secured: key })).toMatch(/^TABLE_RLS: table secured/);
    for (const name of ["seen", "stored_view", "remote"]) {
      expect(await plan([name], { [name]: key })).toMatch(new RegExp(`^TABLE_UNSUPPORTED: table ${name}`));
    }
    expect(await plan(["pg_class"], { pg_class: key })).toMatch(/^TABLE_UNKNOWN/);
  });

  test("columns of types that cannot be converted, all of them at once; excluded ones do not matter", async () => {
    await bench.sql.unsafe(`
      create extension if not exists hstore; create extension if not exists ltree;
      create type size as (width int, height int); create domain path_name as ltree; create domain words as tsvector[];
      create type spread as range (subtype = money);
      create table odd (
        k int primary key, p point, v tsvector, m money, h hstore, s size, ss size[], l ltree, pn path_name, w words,
        r spread, mr spread_multirange, o oidvector, n name, c "char", x xml
      )
    `);
    const refused = await plan(["odd"], { odd: key });
    expect(refused).toMatch(/^TABLE_UNSUPPORTED: table odd: /);
    for (const [name, [type, base]] of Object.entries(oddColumns)) {
      expect(refused).toContain(
        `column ${name} has type ${type}, which cannot be loaded: ${unsupportedTypes.get(base)}`,
      );
    }
    expect(await plan(["odd"], { odd: { ...key, exclude_fields: Object.keys(oddColumns) } })).toBe("odd");
  });

  test("foreign keys in a circle", async () => {
    await bench.sql.unsafe(`
      create table hen (k int primary key, e int); create table egg (k int primary key, h int references hen);
      alter table hen add foreign key (e) references egg;
    `);
    expect(await plan(["egg", "hen"], { hen: key, egg: key })).toMatch(/^TABLE_UNSUPPORTED: .*egg -> hen -> egg/);
    expect(await plan(["egg"], { egg: key })).toBe("egg");
  });

  test("a contract that the table no longer fits blocks, with every fault", async () => {
    await bench.sql.unsafe("create table changed (k int primary key)");
    const contract = { natural_key: ["k", "gone"], newer_by: "lost" };
    expect(await plan(["changed"], { changed: contract })).toMatch(
      /^CONTRACT_INVALID: table changed: .*gone.*; .*lost/,
    );
  });
});

describe("the catalog", () => {
  test("C1: types with length, precision, domain, enum and element", async () => {
    await bench.sql.unsafe(`
      create type mood as enum ('b', 'a');
      create domain short as varchar(5) default 'd'; create domain shorts as numeric(4,1)[];
      create table shapes (
        n numeric(10,2), big numeric, v varchar(7), c char(3), t timestamp(3), e mood, s short, ss shorts, es mood[], a text[],
        g int generated always as (1) stored, i int generated by default as identity, nn int not null
      )
    `);
    const shape = (await bench.catalog(["shapes"])).get("shapes");
    const type = (name: string) => (shape ? columnOf(shape, name)?.type : undefined);
    expect(type("n")).toMatchObject({ name: "numeric", sql: "numeric(10,2)", precision: 10, scale: 2 });
    expect(type("big")).toMatchObject({ precision: null, scale: null });
    expect(type("v")).toMatchObject({ name: "varchar", length: 7 });
    expect(type("c")).toMatchObject({ name: "bpchar", length: 3 });
    expect(type("t")).toMatchObject({ name: "timestamp", fractionDigits: 3 });
    expect(type("e")).toMatchObject({ name: "mood", enumLabels: ["b", "a"] });
    expect(type("s")).toMatchObject({ name: "varchar", length: 5, domain: "short" });
    expect(type("ss")).toMatchObject({ domain: "shorts", element: { sql: "numeric(4,1)", precision: 4, scale: 1 } });
    expect(type("es")?.element).toMatchObject({ name: "mood", enumLabels: ["b", "a"] });
    const columns = Object.fromEntries(shape?.columns.map((column) => [column.name, column]) ?? []);
    expect(columns["g"]).toMatchObject({ generated: true, defaultSql: null });
    expect(columns["i"]).toMatchObject({ identity: "by default" });
    expect(columns["s"]?.defaultSql).toContain("'d'");
    expect([columns["nn"]?.notNull, columns["n"]?.notNull]).toEqual([true, false]);
  });

  test("C1: a type is known down to what it is made of: domains over domains, arrays, ranges", async () => {
    await bench.sql.unsafe(`
      create schema elsewhere; create type elsewhere.mood as enum ('x');
      create domain amount as numeric(8,3) check (value >= 0); create domain price as amount not null;
      create domain prices as price[]; create domain moods as elsewhere.mood[];
      create type amounts as range (subtype = amount);
      create table made_of (
        k int primary key, p price, ps prices, pp price[], ms moods, m elsewhere.mood, r int4range, mr int4multirange,
        rs tstzrange[], am amounts, b bit(3), vb varbit(4), bc bpchar, tz timetz(2),
        i interval, i2 interval(2), iy interval year, im interval year to month, id interval day to minute, s interval second(1)
      )
    `);
    const shape = (await bench.catalog(["made_of"])).get("made_of");
    const column = (name: string) => (shape ? columnOf(shape, name) : undefined);
    const type = (name: string) => column(name)?.type;
    const amount = { name: "numeric", precision: 8, scale: 3 };
    expect(column("p")).toMatchObject({ notNull: true, type: { ...amount, sql: "price", domain: "price" } });
    const list = { name: "price[]", sql: "prices", domain: "prices", element: { ...amount, domain: "price" } };
    expect(column("ps")).toMatchObject({ notNull: false, type: list });
    expect(type("pp")).toMatchObject({ sql: "price[]", domain: null, element: { ...amount, sql: "price" } });
    expect(type("ms")).toMatchObject({ domain: "moods", element: { sql: "elsewhere.mood", enumLabels: ["x"] } });
    expect(type("m")).toMatchObject({ name: "elsewhere.mood", sql: "elsewhere.mood", enumLabels: ["x"] });
    expect(type("r")?.range).toMatchObject({ isMultirange: false, bound: { name: "int4", sql: "integer" } });
    expect(type("mr")?.range).toMatchObject({ isMultirange: true, bound: { name: "int4" } });
    expect(type("rs")?.element?.range?.bound).toMatchObject({ name: "timestamptz", fractionDigits: null });
    expect(type("am")?.range?.bound).toMatchObject({ ...amount, domain: "amount" });
    expect([type("b"), type("vb"), type("bc")].map((one) => one?.length)).toEqual([3, 4, null]);
    expect(type("tz")).toMatchObject({ name: "timetz", fractionDigits: 2 });
    const intervals = ["i", "i2", "iy", "im", "id", "s"].map(type);
    expect(intervals.map((one) => [one?.fractionDigits, one?.smallestUnit])).toEqual([
      [null, null],
      [2, null],
      [null, "year"],
      [null, "month"],
      [null, "minute"],
      [1, null],
    ]);
  });
});

describe("contracts against the catalog", () => {
  test("every name is checked, and every fault named at once", async () => {
    await bench.sql.unsafe(
      "create table checked (k int primary key, j json, g int generated always as (1) stored, i int generated always as identity)",
    );
    const contract = {
      natural_key: ["k", "a", "g", "k", "created_at"],
      required_fields: ["b", "i"],
      immutable_fields: ["c"],
      conflict_resolution: "newest",
      newer_by: "j",
      unknown_fields: "rescue",
      rescue_column: "k",
      columns: { d: {} },
    };
    const parsed = parseContracts(JSON.stringify({ tables: { checked: contract, absent: key } }));
    const faults = parsed.contracts ? contractFaults(parsed.contracts, await bench.catalog(["checked", "absent"])) : [];
    expect(faults).toEqual([
      "table checked: natural_key names column a, which the table does not have",
      "table checked: natural_key names column created_at, which the table does not have",
      "table checked: natural_key names created_at, which exclude_fields keeps from being read",
      "table checked: natural_key names column g, which only the database writes",
      "table checked: natural_key names column k twice",
      "table checked: immutable_fields names column c, which the table does not have",
      "table checked: required_fields names column b, which the table does not have",
      "table checked: required_fields names column i, which only the database writes",
      "table checked: newer_by names column j of type json, which cannot be compared; use jsonb or text",
      "table checked: columns names column d, which the table does not have",
      "table checked: rescue_column k has type integer, expected json or jsonb",
      "table absent: no such table in the database; create it, or take it out of the contracts",
    ]);
  });
});
