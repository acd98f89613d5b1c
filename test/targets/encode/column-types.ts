import type { Column, ColumnType, IntervalUnit } from "../../../lib/core/catalog.ts";
import { type ConversionOptions, defaultConversionOptions } from "../../../lib/core/contract.ts";
import type { JsonValue } from "../../../lib/core/json.ts";
import { quoteConstant } from "../../../lib/postgres/sql-names.ts";
import { conversionOf } from "../../../lib/targets/postgres/encode/conversion-of.ts";

export const moodLabels = ["sad", "ok", 'a, {b} "c" \\d', "NULL", "1"] as const;

const catalogNames: Readonly<Record<string, string>> = {
  smallint: "int2",
  integer: "int4",
  bigint: "int8",
  real: "float4",
  "double precision": "float8",
  boolean: "bool",
  character: "bpchar",
  "character varying": "varchar",
  "bit varying": "varbit",
};
/** What the ranges are made of; `floatrange` and `textrange` are the tests' own. */
const rangeBounds: Readonly<Record<string, string>> = {
  int4range: "integer",
  int8range: "bigint",
  numrange: "numeric",
  daterange: "date",
  tsrange: "timestamp",
  tstzrange: "timestamptz",
  floatrange: "double precision",
  textrange: "text",
};
const withFractionDigits = ["time", "timetz", "timestamp", "timestamptz", "interval"];
const typeForm = /^([a-z][\w ]*?)(?:\((\d+)(?:,(-?\d+))?\))?((?:\[\])*)$/;
const intervalUnits = /^interval (?:\w+ to )?(year|month|day|hour|minute|second)$/;

const nothing = {
  precision: null,
  scale: null,
  length: null,
  fractionDigits: null,
  smallestUnit: null,
  enumLabels: null,
  element: null,
  range: null,
  domain: null,
} as const;

/** What the examples need besides the server's own types. */
export const ownTypesSql = `
  create extension if not exists citext;
  create type mood as enum (${moodLabels.map(quoteConstant).join(", ")});
  create type floatrange as range (subtype = double precision);
  create type textrange as range (subtype = text, collation = "C");
`;

/** The catalog's view of a type as it is written in a cast; `mood` is an enum of `moodLabels`. */
export function columnTypeOf(sql: string): ColumnType {
  const match = typeForm.exec(sql);
  if (match === null) throw new Error(`no type: ${sql}`);
  const written = match[1] as string;
  const unit = intervalUnits.exec(written)?.[1] as IntervalUnit | "second" | undefined;
  const name = unit === undefined ? (catalogNames[written] ?? written) : "interval";
  const first = match[2] === undefined ? null : Number(match[2]);
  if (match[4] !== "") {
    const element = columnTypeOf(sql.slice(0, sql.indexOf("[")));
    return { ...nothing, sql, name: `_${element.name}`, element };
  }
  const rangeName = name.replace("multirange", "range");
  const bound = Object.hasOwn(rangeBounds, rangeName) ? rangeBounds[rangeName] : undefined;
  const range = bound ? { bound: columnTypeOf(bound), isMultirange: name.includes("multirange") } : null;
  const smallestUnit = unit === undefined || unit === "second" ? null : unit;
  const plain = { ...nothing, sql, name, smallestUnit, range, enumLabels: name === "mood" ? moodLabels : null };
  if (name === "numeric" && first !== null) return { ...plain, precision: first, scale: Number(match[3] ?? 0) };
  return { ...plain, [withFractionDigits.includes(name) ? "fractionDigits" : "length"]: first };
}

export function columnOfType(type: ColumnType): Column {
  return { name: "value", type, notNull: false, defaultSql: null, generated: false, identity: null };
}

/** The text, or the code of the refusal. */
export function verdictOf(type: string, input: JsonValue, options: Partial<ConversionOptions> = {}): string {
  const { convert } = conversionOf(columnOfType(columnTypeOf(type)), { ...defaultConversionOptions, ...options });
  const result = convert(input);
  return typeof result === "string" ? result : result.code;
}
