import type { Column, ColumnType } from "../catalog.ts";
import type { Conversion, ConversionOptions } from "../conversion.ts";
import { PermanentError } from "../errors.ts";
import { arrayConversion } from "./arrays.ts";
import { booleanConversion } from "./booleans.ts";
import { byteaConversion } from "./bytea.ts";
import { dateConversion } from "./dates.ts";
import { decimalConversion } from "./decimals.ts";
import { enumConversion } from "./enums.ts";
import { floatConversion } from "./floats.ts";
import { integerConversion } from "./integers.ts";
import { intervalConversion } from "./intervals.ts";
import { jsonConversion } from "./json-values.ts";
import { networkConversion } from "./networks.ts";
import { textConversion } from "./text.ts";
import { timeConversion } from "./times.ts";
import { timestampConversion, timestamptzConversion } from "./timestamps.ts";
import { uuidConversion } from "./uuids.ts";

type MakeConversion = (type: ColumnType, options: ConversionOptions) => Conversion | null;

/** By `pg_type.typname`. A type that is not here is refused when a load is planned, never guessed at. */
const conversions: ReadonlyMap<string, MakeConversion> = new Map<string, MakeConversion>([
  ["int2", () => integerConversion("int2")],
  ["int4", () => integerConversion("int4")],
  ["int8", () => integerConversion("int8")],
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
  ["timestamp", timestampConversion],
  ["timestamptz", timestamptzConversion],
  ["uuid", () => uuidConversion],
  ["json", () => jsonConversion("json")],
  ["jsonb", () => jsonConversion("jsonb")],
  ["interval", intervalConversion],
  ["inet", () => networkConversion("inet")],
  ["cidr", () => networkConversion("cidr")],
  ["bytea", (_, options) => byteaConversion(options)],
]);

/** @throws PermanentError TABLE_UNSUPPORTED naming the column and its type, where the type is not supported */
export function conversionOf(column: Column, options: ConversionOptions): Conversion {
  const conversion = conversionOfType(column.type, options);
  if (conversion !== null) return conversion;
  throw new PermanentError(
    "TABLE_UNSUPPORTED",
    `column ${column.name} has type ${column.type.sql}, which cannot be loaded; exclude the field or load a text column`,
    { column: column.name, type: column.type.sql },
  );
}

function conversionOfType(type: ColumnType, options: ConversionOptions): Conversion | null {
  const conversion = baseConversionOf(type, options);
  // A domain's constraints are the server's to judge.
  return conversion === null || type.domain === null ? conversion : { ...conversion, exact: false };
}

function baseConversionOf(type: ColumnType, options: ConversionOptions): Conversion | null {
  if (type.element !== null) {
    const conversion = conversionOfType(type.element, options);
    const nested = type.element.name !== "json" && type.element.name !== "jsonb";
    return conversion === null ? null : arrayConversion({ conversion, sql: type.element.sql, nested });
  }
  if (type.enumLabels !== null) return enumConversion(type.enumLabels);
  return conversions.get(type.name)?.(type, options) ?? null;
}
