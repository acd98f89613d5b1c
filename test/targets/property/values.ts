import type { RejectCode } from "../../../lib/core/rejects.ts";

/** What fragments may say in a column of each type, and what becomes of it, stated by hand. */

export const typeNames = [
  "int4",
  "text",
  "numeric(6,2)",
  "numeric",
  "citext",
  "bool",
  "date",
  "timestamptz",
  "colour",
  "varchar(3)",
  "positive",
] as const;
export type TypeName = (typeof typeNames)[number] | "jsonb";

/** A value as a fragment writes it, and as the column holds it. */
export type Good = {
  readonly json: string;
  /** The stored value's text. */
  readonly text: string;
  /** Values of a type with the same mark are equal to its equality operator, even where their texts differ. */
  readonly same: string;
  /** The type's order, where it does not depend on a collation. */
  readonly rank: number | null;
};

/** What cannot be stored. `staged` where only the server knows that. */
export type Bad = {
  readonly json: string;
  readonly code: RejectCode;
  readonly constraint: string | null;
  readonly staged: boolean;
};

export type Written = Good | Bad;

type Pool = { readonly good: readonly Good[]; readonly bad: readonly Bad[] };

const good = (json: string, text: string, [same, rank]: readonly [string, number | null]): Good => ({
  json,
  text,
  same,
  rank,
});
const number = (json: string, text: string, value: number): Good => good(json, text, [String(value), value]);
const word = (text: string, same = text): Good => good(JSON.stringify(text), text, [same, null]);
const instant = (written: string, text: string, rank: number): Good =>
  good(JSON.stringify(written), text, [String(rank), rank]);
const bad = (json: string, code: RejectCode): Bad => ({ json, code, constraint: null, staged: false });

/** `NA` and the empty text are null by default, and what they are here where the contract turns that off. */
export const pools: Readonly<Record<TypeName, Pool>> = {
  int4: {
    good: [
      number("1", "1", 1),
      number("2", "2", 2),
      number('"3"', "3", 3),
      number("1.0", "1", 1),
      number("-0", "0", 0),
      number("4", "4", 4),
      number("5e0", "5", 5),
    ],
    bad: [
      bad('"x"', "VALUE_TYPE"),
      bad("2147483648", "VALUE_RANGE"),
      bad("1.5", "VALUE_TYPE"),
      bad('"NA"', "VALUE_TYPE"),
      bad('""', "VALUE_TYPE"),
    ],
  },
  "numeric(6,2)": {
    good: [
      number("1", "1.00", 1),
      number("1.5", "1.50", 1.5),
      number('"2.25"', "2.25", 2.25),
      number('"1.50"', "1.50", 1.5),
      number("-1e0", "-1.00", -1),
    ],
    bad: [bad("1.005", "VALUE_PRECISION_LOSS"), bad("12345.6", "VALUE_RANGE"), bad('"x"', "VALUE_TYPE")],
  },
  numeric: {
    good: [
      number("1", "1", 1),
      number("1.0", "1.0", 1),
      number('"2.50"', "2.50", 2.5),
      number("2.5", "2.5", 2.5),
      number("3", "3", 3),
      number("4", "4", 4),
      number("-5", "-5", -5),
    ],
    bad: [bad('"one"', "VALUE_TYPE"), bad("true", "VALUE_TYPE"), bad('"NaN"', "VALUE_TYPE")],
  },
  text: {
    good: [
      word("a"),
      word("b"),
      word("c"),
      word("d"),
      word("NA"),
      word(""),
      good("5", "5", ["5", null]),
      word("it's \\N\t"),
    ],
    bad: [bad('{"a":1}', "VALUE_TYPE"), bad('"a\\u0000"', "VALUE_ENCODING")],
  },
  citext: {
    good: [word("a"), word("b"), word("A", "a"), word("B", "b"), word("NA", "na"), word("c"), word("d")],
    bad: [bad("[]", "VALUE_TYPE")],
  },
  bool: {
    good: [
      good("true", "true", ["true", 1]),
      good("false", "false", ["false", 0]),
      good('"yes"', "true", ["true", 1]),
      good("0", "false", ["false", 0]),
    ],
    bad: [bad('"oui"', "VALUE_TYPE"), bad("2", "VALUE_TYPE")],
  },
  date: {
    good: [
      instant("2026-01-01", "2026-01-01", 20260101),
      instant("2026-01-02", "2026-01-02", 20260102),
      instant("2025-12-31", "2025-12-31", 20251231),
      instant("0044-03-15 BC", "0044-03-15 BC", -440315),
      instant("2024-02-29", "2024-02-29", 20240229),
    ],
    bad: [bad('"2026-02-30"', "VALUE_RANGE"), bad('"01/02/2024"', "VALUE_TYPE"), bad("20240102", "VALUE_TYPE")],
  },
  timestamptz: {
    good: [
      instant("2026-01-01T00:00:00Z", "2026-01-01 00:00:00+00", 0),
      instant("2026-01-01T03:00:00+02:00", "2026-01-01 01:00:00+00", 1),
      instant("2026-01-01 02:00:00.5", "2026-01-01 02:00:00.5+00", 2.5),
      instant("2026-01-01T05:30:00+0530", "2026-01-01 00:00:00+00", 0),
      instant("2025-01-01T00:00:00Z", "2025-01-01 00:00:00+00", -1000),
    ],
    bad: [
      bad('"yesterday"', "VALUE_TYPE"),
      bad('"2026-13-01T00:00:00Z"', "VALUE_RANGE"),
      bad('"2026-01-01T00:00:00.1234567Z"', "VALUE_PRECISION_LOSS"),
    ],
  },
  colour: {
    good: [
      good('"red"', "red", ["red", 1]),
      good('"Blue"', "Blue", ["Blue", 2]),
      good('"ash grey"', "ash grey", ["ash grey", 3]),
    ],
    bad: [bad('"blue"', "VALUE_ENUM"), bad("[1]", "VALUE_TYPE")],
  },
  "varchar(3)": {
    good: [word("a"), word("bcd"), word("NA"), word("🜁🜁🜁"), word("")],
    bad: [bad('"abcd"', "VALUE_TOO_LONG")],
  },
  positive: {
    good: [number("1", "1", 1), number("2", "2", 2), number('"2"', "2", 2), number("3", "3", 3), number("4", "4", 4)],
    bad: [{ json: "-1", code: "CONSTRAINT_CHECK", constraint: "positive", staged: true }, bad('"x"', "VALUE_TYPE")],
  },
  jsonb: {
    good: [good('{"b":1,"a":[1.0]}', '{"a": [1.0], "b": 1}', ["1", null]), good('"x"', '"x"', ["2", null])],
    bad: [],
  },
};

/** The types of the pools that a server does not have from the start. */
export const typesSql = `
  create extension if not exists citext;
  create type colour as enum ('red', 'Blue', 'ash grey');
  create domain positive as int check (value > 0);
`;
