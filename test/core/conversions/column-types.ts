import type { Column, ColumnType } from "../../../lib/core/catalog.ts";
import { type ConversionOptions, defaultConversionOptions } from "../../../lib/core/conversion.ts";
import { conversionOf } from "../../../lib/core/conversions/conversion-of.ts";
import type { JsonValue } from "../../../lib/core/json.ts";

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
};
const withFractionDigits = ["time", "timestamp", "timestamptz"];
const typeForm = /^([a-z][\w ]*?)(?:\((\d+)(?:,(-?\d+))?\))?((?:\[\])*)$/;

/** The catalog's view of a type as it is written in a cast; `mood` is an enum of `moodLabels`. */
export function columnTypeOf(sql: string): ColumnType {
  const match = typeForm.exec(sql);
  if (match === null) throw new Error(`no type: ${sql}`);
  const written = match[1] as string;
  const name = catalogNames[written] ?? written;
  const first = match[2] === undefined ? null : Number(match[2]);
  const none = { sql, precision: null, scale: null, length: null, fractionDigits: null, domain: null };
  const plain = { ...none, name, enumLabels: name === "mood" ? moodLabels : null, element: null };
  if (match[4] !== "") {
    const element = columnTypeOf(sql.slice(0, sql.indexOf("[")));
    return { ...none, name: `_${element.name}`, enumLabels: null, element };
  }
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
