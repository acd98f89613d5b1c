import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTarget, summarize, type TargetBench } from "./support.ts";

/** Values through a whole load: what is stored, and what is rejected with which code. */

let bench: TargetBench;
/** Its database would have sessions read dates and show times in other ways. */
let foreign: TargetBench;
beforeAll(async () => {
  [bench, foreign] = [await openTarget(), await openTarget()];
  const { name } = foreign.database;
  await foreign.sql.unsafe(
    `alter database ${name} set timezone = 'Pacific/Apia'; alter database ${name} set datestyle = 'German'`,
  );
});
afterAll(() => Promise.all([bench.close(), foreign.close()]));

const key = { natural_key: ["k"] };
/** The settings of the session that inserts; a load sets its own, whatever the database is set to. */
const sessionColumn = "settings text default current_setting('timezone') || ', ' || current_setting('datestyle')";
const loadSettings = "UTC, ISO, YMD";
let tables = 0;

type Loading = { readonly column: string; readonly contract?: object; readonly on?: TargetBench };

/** Loads JSON texts into one column of a new table; the codes of the rejected ones, by place. */
async function load({ column, contract = {}, on = bench }: Loading, values: readonly string[]) {
  const table = `values_${tables++}`;
  await on.sql.unsafe(`create table ${table} (k int primary key, v ${column}, ${sessionColumn})`);
  const content = `[${values.map((value, k) => `{"k":${k},"v":${value}}`).join(",")}]`;
  const loaded = await on.loadOne(table, { ...key, ...contract }, content);
  return {
    table,
    loaded,
    rejects: summarize(loaded).map(([record, field, code]) => [values[Number(record) - 1], field, code]),
  };
}

/** Every value is stored; how the server shows each. */
async function stored(loading: Loading, values: readonly string[]): Promise<(string | null)[]> {
  const { table, loaded, rejects } = await load(loading, values);
  expect([loaded.outcome, rejects]).toEqual(["committed", []]);
  return (await bench.rows(table, "v, k", "k")).map(([shown]) => shown as string | null);
}

/** No value is stored, each has its code. */
async function expectRejects(loading: Loading, codes: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const values = Object.values(codes).flat();
  const { rejects } = await load(loading, values);
  const expected = Object.entries(codes).flatMap(([code, ones]) => ones.map((value) => [value, "v", code]));
  expect(rejects).toEqual(expected);
}

describe("numbers", () => {
  test("V01: beyond the limits of smallint, int and bigint", async () => {
    await expectRejects({ column: "smallint" }, { VALUE_RANGE: ["32768", '"-32769"'] });
    await expectRejects({ column: "int" }, { VALUE_RANGE: ["2147483648", '"-2147483649"', "1e10"] });
    await expectRejects({ column: "bigint" }, { VALUE_RANGE: ["9223372036854775808", '"-9223372036854775809"'] });
    expect(await stored({ column: "bigint" }, ["9007199254740993", '"-9223372036854775808"'])).toEqual([
      "9007199254740993",
      "-9223372036854775808",
    ]);
  });

  test("V04: numeric overflow, NaN and Infinity unless the column opts in", async () => {
    const codes = { VALUE_RANGE: ["10000", '"99999.99"'], VALUE_TYPE: ['"NaN"', '"Infinity"', '"-inf"'] };
    await expectRejects({ column: "numeric(6,2)" }, codes);
    await expectRejects({ column: "float8" }, { VALUE_RANGE: ["1e400", "1e-400"], VALUE_TYPE: ['"NaN"', '"inf"'] });
    const contract = { columns: { v: { allow_infinity: true } } };
    expect(await stored({ column: "numeric", contract }, ['"NaN"', '"-inf"'])).toEqual(["NaN", "-Infinity"]);
    expect(await stored({ column: "real", contract }, ['"NaN"', '"Infinity"'])).toEqual(["NaN", "Infinity"]);
    await expectRejects({ column: "numeric(6,2)", contract }, { VALUE_RANGE: ['"Infinity"'] });
  });

  test("V05: a real keeps what it shows, and refuses what it would round", async () => {
    const lost = ["16777217", "0.123456789012", "9007199254740993"];
    await expectRejects({ column: "real" }, { VALUE_PRECISION_LOSS: lost, VALUE_RANGE: ["1e-46", "1e39"] });
    expect(await stored({ column: "real" }, ["0.1", "16777216", "-0.0"])).toEqual(["0.1", "1.6777216e+07", "-0"]);
  });

  test("J08, J11: every digit of a number is kept, also in json and text", async () => {
    const long = "123456789012345678901234567890.10";
    for (const column of ["numeric", "jsonb", "json", "text"]) expect(await stored({ column }, [long])).toEqual([long]);
    expect(await stored({ column: "int" }, ["-0", "1.0", "1e2"])).toEqual(["0", "1", "100"]);
    await expectRejects({ column: "int" }, { VALUE_TYPE: ["1.5", '"1.5"', '"1e2"', '" 1"', '"1_000"', '"0x1F"'] });
    await expectRejects({ column: "numeric(8,2)" }, { VALUE_PRECISION_LOSS: ["1.005", '"0.001"'] });
  });
});

describe("booleans", () => {
  test("V06: JSON's booleans and the contract's words, nothing else", async () => {
    expect(await stored({ column: "bool" }, ["true", "false", '"t"', '"YES"', '"1"', "1", "0"])).toEqual(
      ["t", "f", "t", "t", "t", "t", "f"].map((word) => (word === "t" ? "true" : "false")),
    );
    await expectRejects({ column: "bool" }, { VALUE_TYPE: ['"on"', '"tru"', '"oui"', "2", '"y"', "{}"] });
    expect(await stored({ column: "bool" }, ['""'])).toEqual([null]);
    await expectRejects({ column: "bool", contract: { null_values: [] } }, { VALUE_TYPE: ['""'] });
    const contract = { columns: { v: { true_values: ["oui", "1"], false_values: ["non"] } } };
    expect(await stored({ column: "bool[]", contract }, ['["OUI", false, 1, null, "non"]'])).toEqual([
      "{t,f,t,NULL,f}",
    ]);
    await expectRejects({ column: "bool[]", contract }, { VALUE_TYPE: ['["yes"]', "[0]"] });
  });
});

describe("dates and times", () => {
  test("V11: offsets give exact instants, naive ones are in the contract's zone whatever the session's", async () => {
    const values = ["T10:00:00Z", "T10:00:00+05:30", "T10:00:00+0530", " 10:00:00.123456", ""].map(
      (time) => `"2024-01-05${time}"`,
    );
    const shown = async (contract: object): Promise<unknown[]> => {
      const { table } = await load({ column: "timestamptz", contract, on: foreign }, values);
      const rows = await foreign.sql.unsafe(
        `select to_char(v at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') as shown, settings from ${table} order by k`,
      );
      expect(new Set(rows.map((row) => row["settings"]))).toEqual(new Set([loadSettings]));
      return rows.map((row) => row["shown"]);
    };
    const [utc, indian, without] = [
      "2024-01-05 10:00:00.000000",
      "2024-01-05 04:30:00.000000",
      "2024-01-05 10:00:00.123456",
    ];
    expect(await shown({})).toEqual([utc, indian, indian, without, "2024-01-05 00:00:00.000000"]);
    const contract = { columns: { v: { timezone: "America/New_York" } } };
    const [local, midnight] = ["2024-01-05 15:00:00.123456", "2024-01-05 05:00:00.000000"];
    expect(await shown(contract)).toEqual([utc, indian, indian, local, midnight]);
    await expectRejects(
      { column: "timestamptz" },
      { VALUE_PRECISION_LOSS: ['"2024-01-05T10:00:00.1234567Z"'], VALUE_RANGE: ['"2024-01-05T10:00:00+16:00"'] },
    );
  });

  test("V13: names of zones, and the hours that a clock shows twice or never", async () => {
    const named = ["IST", "CST", "BST"].map((zone) => `"2024-01-05 10:00:00 ${zone}"`);
    await expectRejects({ column: "timestamptz" }, { VALUE_TYPE: named });
    const contract = { columns: { v: { timezone: "America/New_York" } } };
    const skipped = { VALUE_AMBIGUOUS: ['"2024-03-10 02:30:00"', '"2024-11-03 01:30:00"'] };
    await expectRejects({ column: "timestamptz", contract }, skipped);
    await expectRejects({ column: "timestamptz[]", contract }, { VALUE_AMBIGUOUS: ['["2024-03-10 02:30:00"]'] });
    await expectRejects({ column: "tstzrange", contract }, { VALUE_AMBIGUOUS: ['"[2024-03-10 02:30:00,)"'] });
  });

  test("V15: the ends of time", async () => {
    const early = ["0044-03-15 BC", "10000-01-01", "294276-12-31"];
    expect(
      await stored(
        { column: "date" },
        early.map((text) => `"${text}"`),
      ),
    ).toEqual(early);
    const leap = ['"2024-12-31 23:59:60"', '"2024-12-31 24:00:00"'];
    expect(await stored({ column: "timestamp" }, leap)).toEqual(["2025-01-01 00:00:00", "2025-01-01 00:00:00"]);
    const beyond = ['"0000-01-01"', '"294277-01-01"', '"2024-12-31 23:59:60.5"'];
    await expectRejects({ column: "timestamp" }, { VALUE_RANGE: beyond, VALUE_TYPE: ['"infinity"'] });
    const contract = { columns: { v: { allow_infinity: true } } };
    for (const column of ["date", "timestamp", "timestamptz"]) {
      expect(await stored({ column, contract }, ['"infinity"', '"-Infinity"'])).toEqual(["infinity", "-infinity"]);
    }
    expect(await stored({ column: "date[]", contract }, ['["infinity",null]'])).toEqual(["{infinity,NULL}"]);
    await expectRejects({ column: "date[]" }, { VALUE_TYPE: ['["infinity"]'] });
  });

  test("V17: other people's dates, whatever DateStyle is set to", async () => {
    const values = ['"01/02/2024"', '"Jan 5 2024"', '"20240102"', '"2024-001"', "1704412800", '"now"', '"today"'];
    for (const on of [bench, foreign]) {
      for (const column of ["date", "timestamp", "timestamptz"])
        await expectRejects({ column, on }, { VALUE_TYPE: values });
    }
    const { table } = await load({ column: "date", on: foreign }, ['"2024-03-02"']);
    expect(await foreign.rows(table, "v, settings")).toEqual([["2024-03-02", loadSettings]]);
  });
});

describe("identifiers and bytes", () => {
  const id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

  test("V18: every spelling of a uuid is one value and one key", async () => {
    await bench.sql.unsafe("create table by_id (v uuid primary key, n int)");
    const spellings = [id, id.toUpperCase(), `{${id}}`, id.replaceAll("-", "")];
    const loaded = await bench.loadOne(
      "by_id",
      { natural_key: ["v"] },
      spellings.map((v) => ({ v, n: 1 })),
    );
    expect(loaded.outcome).toBe("committed");
    expect(await bench.rows("by_id", "v, n")).toEqual([[id, "1"]]);
    await expectRejects({ column: "uuid" }, { VALUE_TYPE: ['"abc"', `"${id}0"`, `"urn:uuid:${id}"`, "1"] });
  });

  test("V22: bytea in the declared encoding only", async () => {
    expect(await stored({ column: "bytea" }, ['"00FF"', String.raw`"\\x00ff"`])).toEqual([
      String.raw`\x00ff`,
      String.raw`\x00ff`,
    ]);
    await expectRejects(
      { column: "bytea" },
      { VALUE_TYPE: ['"abc"', '"xyz0"', String.raw`"\\x0"`, '"3q2+7w=="', "1"] },
    );
    const contract = { columns: { v: { bytea_encoding: "base64" } } };
    expect(await stored({ column: "bytea[]", contract }, ['["3q2+7w==", null, ""]'])).toEqual([
      String.raw`{"\\xdeadbeef",NULL,"\\x"}`,
    ]);
    await expectRejects({ column: "bytea", contract }, { VALUE_TYPE: [String.raw`"\\xdeadbeef"`, '"3q2-7w=="'] });
  });

  test("V21: an object is no text and no number, a scalar is no array", async () => {
    for (const column of ["int", "text", "date", "inet", "int4range"]) {
      await expectRejects({ column }, { VALUE_TYPE: ['{"a":1}', "[1]"] });
    }
    await expectRejects({ column: "int[]" }, { VALUE_TYPE: ["1", '"{1,2}"', '{"a":1}'] });
  });
});

describe("types made of others", () => {
  test("V20: inner arrays of one length; NULL is null or a text, as it was written", async () => {
    const ragged = ["[[1],[2,3]]", "[[1],2]", "[1,[2]]", "[[]]", "[[1],null]"];
    await expectRejects({ column: "int[]" }, { VALUE_TYPE: ragged, VALUE_RANGE: ["[2147483648]", "[[[[[[[1]]]]]]]"] });
    expect(await stored({ column: "text[]" }, ['["NULL",null,"NA",""]', "[]", '[["a,b"],["{}"]]'])).toEqual([
      '{"NULL",NULL,NA,""}',
      "{}",
      '{{"a,b"},{"{}"}}',
    ]);
  });

  test("V23: domains over domains and arrays, and arrays of domains", async () => {
    await bench.sql.unsafe(`
      create domain amount as numeric(8,3) check (value >= 0); create domain price as amount check (value < 1000) not null;
      create domain pair as int[] check (cardinality(value) = 2); create type tube as enum ('EDTA', 'citrate');
      create domain tubes as tube[];
    `);
    expect(await stored({ column: "price" }, ["1.5"])).toEqual(["1.500"]);
    const broken = { CONSTRAINT_CHECK: ["-1", "1000"], VALUE_PRECISION_LOSS: ["1.0005"], VALUE_RANGE: ["100000"] };
    expect((await load({ column: "price" }, Object.values(broken).flat())).rejects.toSorted()).toEqual(
      Object.entries(broken)
        .flatMap(([code, values]) => values.map((value) => [value, "v", code]))
        .toSorted(),
    );
    expect(await stored({ column: "price[]" }, ["[1.5, 2]"])).toEqual(["{1.500,2.000}"]);
    await expectRejects({ column: "price[]" }, { CONSTRAINT_CHECK: ["[1,-1]"] });
    await expectRejects({ column: "price[]" }, { VALUE_NOT_NULL: ["[1,null]"] });
    expect(await stored({ column: "pair[]" }, ["[[1,2],[3,4],null]"])).toEqual(['{"{1,2}","{3,4}",NULL}']);
    await expectRejects({ column: "pair" }, { CONSTRAINT_CHECK: ["[1]"] });
    expect(await stored({ column: "tubes" }, ['["EDTA",null]'])).toEqual(["{EDTA,NULL}"]);
    await expectRejects({ column: "tubes" }, { VALUE_ENUM: ['["edta"]'] });
  });

  test("ranges: the server's own form of the same value, and its verdict on the order of bounds", async () => {
    const values = ['"[1,10]"', '"empty"', '"(,5)"', '"[3,3)"'];
    expect(await stored({ column: "int4range" }, values)).toEqual(["[1,11)", "empty", "(,5)", "empty"]);
    await expectRejects({ column: "int4range" }, { VALUE_TYPE: ['"[1_0,20)"', '"[5,1]"'] });
    await expectRejects({ column: "int4range" }, { VALUE_RANGE: ['"[1,2147483647]"'] });
    expect(await stored({ column: "nummultirange" }, ['"{[1.0,2),[2,3.50]}"'])).toEqual(["{[1.0,3.50]}"]);
    expect(await stored({ column: "numrange[]" }, ['["[1,2)",null]'])).toEqual(['{"[1,2)",NULL}']);
  });

  test("an interval that keeps less takes only what it keeps", async () => {
    expect(await stored({ column: "interval day to minute" }, ['"P1DT90M"'])).toEqual(["1 day 01:30:00"]);
    await expectRejects({ column: "interval day to minute" }, { VALUE_PRECISION_LOSS: ['"PT30S"'] });
    await expectRejects(
      { column: "interval(0)" },
      { VALUE_PRECISION_LOSS: ['"PT0.5S"'], VALUE_RANGE: ['"P9999999999D"'] },
    );
  });
});
