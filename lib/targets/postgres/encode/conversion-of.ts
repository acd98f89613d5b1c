import type { Column, ColumnType } from "../../../core/catalog.ts";
import type { ConversionOptions } from "../../../core/contract.ts";
import { PermanentError } from "../../../core/errors.ts";
import { arrayConversion, jsonConversion, rangeConversion } from "./containers.ts";
import type { Conversion } from "./conversion.ts";
import {
  dateConversion,
  timeConversion,
  timestampConversion,
  timestamptzConversion,
  timetzConversion,
} from "./dates-and-times.ts";
import { floatConversion } from "./floats.ts";
import { intervalConversion } from "./intervals.ts";
import { macAddressConversion, networkConversion } from "./networks.ts";
import { decimalConversion, integerConversion } from "./numbers.ts";
import {
  bitConversion,
  booleanConversion,
  byteaConversion,
  enumConversion,
  textConversion,
  uuidConversion,
} from "./text-like.ts";

type MakeConversion = (type: ColumnType, options: ConversionOptions) => Conversion;

/** By `pg_type.typname`. Planning a load refuses a type that is not listed. */
const conversions: ReadonlyMap<string, MakeConversion> = new Map<string, MakeConversion>([
  ["int2", () => integerConversion("int2")],
  ["int4", () => integerConversion("int4")],
  ["int8", () => integerConversion("int8")],
  ["oid", () => integerConversion("oid")],
  ["numeric", decimalConversion],
  ["float4", (_, options) => floatConversion("float4", options)],
  ["float8", (_, options) => floatConversion("float8", options)],
  ["bool", (_, options) => booleanConversion(options)],
  ["text", textConversion],
  ["varchar", textConversion],
  ["bpchar", textConversion],
  ["citext", textConversion],
  ["date", (_, options) => dateConversion(options)],
  ["time", timeConversion],
  ["timetz", timetzConversion],
  ["timestamp", timestampConversion],
  ["timestamptz", timestamptzConversion],
  ["interval", intervalConversion],
  ["uuid", () => uuidConversion],
  ["json", () => jsonConversion("json")],
  ["jsonb", () => jsonConversion("jsonb")],
  ["inet", () => networkConversion("inet")],
  ["cidr", () => networkConversion("cidr")],
  ["macaddr", () => macAddressConversion("macaddr")],
  ["macaddr8", () => macAddressConversion("macaddr8")],
  ["bit", bitConversion],
  ["varbit", bitConversion],
  ["bytea", (_, options) => byteaConversion(options)],
]);

/** The base types that have a conversion; enums, domains, arrays, ranges and multiranges are made of them. */
export const supportedTypes: readonly string[] = [...conversions.keys()];

/** @throws PermanentError TABLE_UNSUPPORTED, which names the column and its type, if the type is not supported */
export function conversionOf(column: Column, options: ConversionOptions): Conversion {
  const conversion = conversionOfType(column.type, options);
  if (conversion !== null) return conversion;
  throw new PermanentError("TABLE_UNSUPPORTED", unsupportedText(column), {
    column: column.name,
    type: column.type.sql,
  });
}

function conversionOfType(type: ColumnType, options: ConversionOptions): Conversion | null {
  const conversion = baseConversionOf(type, options);
  // Only the server can check a domain's constraints.
  return conversion === null || type.domain === null ? conversion : { ...conversion, exact: false };
}

function baseConversionOf(type: ColumnType, options: ConversionOptions): Conversion | null {
  const { element, range } = type;
  if (element !== null) {
    const conversion = conversionOfType(element, options);
    return conversion && arrayConversion(conversion, element.sql, !isOwnArray(element));
  }
  if (range !== null) {
    const conversion = conversionOfType(range.bound, options);
    return conversion && rangeConversion(conversion, type.sql, range.isMultirange);
  }
  if (type.enumLabels !== null) return enumConversion(type.enumLabels);
  return conversions.get(type.name)?.(type, options) ?? null;
}

/** Whether a JSON array can be the value of one element: of json, or of a domain over an array. */
function isOwnArray(element: ColumnType): boolean {
  return element.element !== null || element.name === "json" || element.name === "jsonb";
}

/** Why no value can be converted to the column's type, and what to do instead; null if values can. */
export function unsupportedReason(column: Pick<Column, "name" | "type">): string | null {
  const { name, enumLabels } = innermost(column.type);
  return enumLabels !== null || conversions.has(name) ? null : unsupportedText(column);
}

function innermost(type: ColumnType): ColumnType {
  const inner = type.element ?? type.range?.bound;
  return inner ? innermost(inner) : type;
}

const geometry = "the server takes several notations of it and rounds their numbers; use double precision columns";
const lookedUp = "it is looked up in the database that reads it; use a text column";
const internal = "it is the server's own; use a text column";
const search = "the server rewrites what it reads; load the text, and generate this column from it";

/** The reason, and what to do instead, for unsupported types that are in common use. */
export const unsupportedTypes: ReadonlyMap<string, string> = new Map([
  ["money", "what it reads depends on the server's locale; use numeric(14,2)"],
  ["xml", "what it takes depends on how the server was built; use a text column"],
  ["name", "the server cuts it at 63 bytes without a word; use varchar(63)"],
  ["char", 'the server keeps one byte of it; use character(1) or boolean, not "char"'],
  ["tsvector", search],
  ["tsquery", search],
  ["jsonpath", "the server rewrites what it reads; use a text column"],
  ["point", geometry],
  ["line", geometry],
  ["lseg", geometry],
  ["box", geometry],
  ["path", geometry],
  ["polygon", geometry],
  ["circle", geometry],
  ["regclass", lookedUp],
  ["regproc", lookedUp],
  ["regtype", lookedUp],
  ["regrole", lookedUp],
  ["regnamespace", lookedUp],
  ["pg_lsn", internal],
  ["xid", internal],
  ["xid8", internal],
  ["int2vector", internal],
  ["oidvector", internal],
  ["record", "composite types have no JSON form here; use jsonb, or a column for each of their fields"],
  ["hstore", "use jsonb"],
  ["ltree", "its labels depend on the extension's version; use a text column with a check"],
]);

function unsupportedText({ name, type }: Pick<Column, "name" | "type">): string {
  const advice = unsupportedTypes.get(innermost(type).name) ?? "use a text column";
  return `column ${name} has type ${type.sql}, which cannot be loaded: ${advice}, or exclude the field`;
}
