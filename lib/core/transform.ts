import type { Column } from "./catalog.ts";
import type { ColumnContract } from "./contract.ts";
import { type Conversion, type ConversionOptions, defaultConversionOptions } from "./conversion.ts";
import { conversionOf } from "./conversions/conversion-of.ts";
import { isJsonObject, type JsonObject, type JsonValue, kindOf, toJsonText } from "./json.ts";
import type { TablePlan } from "./plan.ts";
import { Refusal, type RejectCode, showName, showValue } from "./rejects.ts";

/** Turns records into staged rows: one field of text, or null, per column of the plan. */

/** A fault of one field; the caller adds table, key and record number. */
export type FieldFault = {
  readonly field: string | null;
  readonly code: RejectCode;
  readonly expected: string;
  readonly got: string | null;
};

export type StagedRow = {
  readonly values: readonly (string | null)[];
  /** One character a column, 1 where the record did not carry the field; null where it carried all. */
  readonly absent: string | null;
  /** Texts that the contract reads as null. */
  readonly nulled: number;
};

export type Transformed = StagedRow | { readonly faults: readonly FieldFault[] };
export type Transform = (record: JsonObject) => Transformed;

type Field = {
  readonly column: Column;
  readonly index: number;
  readonly conversion: Conversion;
  readonly nulls: ReadonlySet<string>;
};

/** The conversion of each column of the plan, in the plan's order. */
export function conversionsOf(plan: TablePlan): Conversion[] {
  return plan.columns.map((column) => conversionOf(column, optionsOf(plan.contract.columns[column.name])));
}

function optionsOf(contract: ColumnContract | undefined): ConversionOptions {
  return {
    timezone: contract?.timezone ?? defaultConversionOptions.timezone,
    trueValues: contract?.true_values ?? defaultConversionOptions.trueValues,
    falseValues: contract?.false_values ?? defaultConversionOptions.falseValues,
    byteaEncoding: contract?.bytea_encoding ?? defaultConversionOptions.byteaEncoding,
    allowInfinity: contract?.allow_infinity ?? defaultConversionOptions.allowInfinity,
  };
}

/** An empty text in the natural key is null, unless the contract lets it be a key. */
function nullsOf(contract: TablePlan["contract"], column: string): ReadonlySet<string> {
  const values = new Set(contract.columns[column]?.null_values ?? contract.null_values);
  if (contract.columns[column]?.allow_empty_key) values.delete("");
  else if (contract.natural_key.includes(column)) values.add("");
  return values;
}

/** A transform for one table; made once per worker, it keeps the names that it has resolved. */
export function transformOf(plan: TablePlan): Transform {
  const conversions = conversionsOf(plan);
  const fields = plan.columns.map(
    (column, index): Field => ({
      column,
      index,
      conversion: conversions[index] as Conversion,
      nulls: nullsOf(plan.contract, column.name),
    }),
  );
  const named = (names: readonly string[]): Field[] => fields.filter(({ column }) => names.includes(column.name));
  const { natural_key: keys, required_fields: required } = plan.contract;
  const table = { plan, fields, resolve: resolverOf(plan, fields), keys: named(keys), required: named(required) };
  return (record) => transformRecord(table, record);
}

/** What a name in a record stands for: a field, a name to pass over, or one that nobody knows. */
type Resolved = Field | "ignore" | "readonly" | "unknown";
type Resolve = (name: string) => Resolved;

/** Exact names first, then names that differ in case only. */
function resolverOf(plan: TablePlan, fields: readonly Field[]): Resolve {
  const exact = new Map<string, Resolved>(fields.map((field) => [field.column.name, field]));
  const excluded = new Set(plan.contract.exclude_fields);
  for (const column of plan.shape.columns) {
    if (!exact.has(column.name) && !excluded.has(column.name)) exact.set(column.name, "readonly");
  }
  for (const name of excluded) exact.set(name, "ignore");
  const folded = Map.groupBy(exact.keys(), (name) => name.toLowerCase());
  const known = new Map<string, Resolved>();
  return (name) => {
    const seen = known.get(name);
    if (seen !== undefined) return seen;
    const alike = folded.get(name.toLowerCase()) ?? [];
    const resolved = exact.get(name) ?? (alike.length === 1 ? exact.get(alike[0] as string) : undefined) ?? "unknown";
    if (known.size < maxKnownNames) known.set(name, resolved);
    return resolved;
  };
}

/** Records with ever new names must not grow the memory of a worker. */
const maxKnownNames = 10_000;

type Table = {
  readonly plan: TablePlan;
  readonly fields: readonly Field[];
  readonly resolve: Resolve;
  readonly keys: readonly Field[];
  readonly required: readonly Field[];
};

/** What a record's names came to, before their values are looked at. */
type Reading = {
  readonly values: (string | null)[];
  readonly present: boolean[];
  readonly faults: FieldFault[];
  readonly unknown: string[];
  nulled: number;
};

function emptyReading(columns: number): Reading {
  const values = new Array<string | null>(columns).fill(null);
  return { values, present: new Array<boolean>(columns).fill(false), faults: [], unknown: [], nulled: 0 };
}

function transformRecord(table: Table, record: JsonObject): Transformed {
  const reading = emptyReading(table.fields.length);
  for (const name of Object.keys(record)) readField(table, reading, [name, record[name] as JsonValue]);
  if (reading.unknown.length > 0) treatUnknown(table, reading, record);
  requireKey(table, reading);
  requireFields(table, reading);
  if (reading.faults.length > 0) return { faults: reading.faults };
  return { values: reading.values, absent: absentMask(reading.present), nulled: reading.nulled };
}

function readField({ resolve }: Table, reading: Reading, [name, value]: readonly [string, JsonValue]): void {
  const field = resolve(name);
  if (field === "ignore") return;
  if (field === "unknown") {
    reading.unknown.push(name);
    return;
  }
  if (field === "readonly") {
    const expected = "no value: the column is generated by the database";
    reading.faults.push({ field: showName(name), code: "COLUMN_READONLY", expected, got: shown(value) });
    return;
  }
  if (reading.present[field.index]) {
    const expected = `one field for column ${field.column.name}; two names differ in case only`;
    reading.faults.push({ field: showName(name), code: "COLUMN_AMBIGUOUS", expected, got: shown(value) });
    return;
  }
  reading.present[field.index] = true;
  readValue(field, reading, value);
}

function readValue(field: Field, reading: Reading, value: JsonValue): void {
  if (value === null) return;
  if (typeof value === "string" && field.nulls.has(value)) {
    reading.nulled += 1;
    return;
  }
  const converted = field.conversion.convert(value);
  if (converted instanceof Refusal) {
    const { code, expected } = converted;
    reading.faults.push({ field: field.column.name, code, expected, got: shown(value) });
    return;
  }
  reading.values[field.index] = converted;
}

const maxListedNames = 20;

function treatUnknown({ plan, fields }: Table, reading: Reading, record: JsonObject): void {
  const { unknown_fields: treatment, rescue_column: rescueColumn } = plan.contract;
  if (treatment === "ignore") return;
  const rescue = fields.find(({ column }) => column.name === rescueColumn);
  if (treatment === "rescue" && rescue) {
    const kept: JsonObject = Object.fromEntries(reading.unknown.map((name) => [name, record[name] as JsonValue]));
    if (reading.present[rescue.index]) {
      const expected = `unknown fields or a value for ${rescueColumn}, which keeps them, but not both`;
      reading.faults.push({
        field: rescue.column.name,
        code: "COLUMN_AMBIGUOUS",
        expected,
        got: listed(reading.unknown),
      });
      return;
    }
    reading.present[rescue.index] = true;
    readValue(rescue, reading, kept);
    return;
  }
  reading.faults.push({
    field: showName(reading.unknown[0] ?? ""),
    code: "COLUMN_UNKNOWN",
    expected: `columns of table ${plan.table}; set unknown_fields to ignore or rescue to load such records`,
    got: listed(reading.unknown),
  });
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, maxListedNames).map(showValue).join(", ");
  return names.length > maxListedNames ? `${shown} and ${names.length - maxListedNames} more` : shown;
}

function requireKey({ keys }: Table, reading: Reading): void {
  for (const field of keys) {
    if (reading.values[field.index] === null) refuseNull(field, reading, keyNull);
  }
}

function requireFields({ required }: Table, reading: Reading): void {
  for (const field of required) {
    if (reading.values[field.index] === null) refuseNull(field, reading, requiredNull);
  }
}

type NullFault = Pick<FieldFault, "code" | "expected">;
const keyNull: NullFault = { code: "KEY_NULL", expected: "a value: the field is part of the natural key" };
const requiredNull: NullFault = { code: "VALUE_NOT_NULL", expected: "a value: the field is required" };

/** A field whose value was refused is null for that reason, which is told already. */
function refuseNull({ column, index }: Field, reading: Reading, fault: NullFault): void {
  if (reading.faults.some(({ field }) => field === column.name)) return;
  reading.faults.push({ field: column.name, ...fault, got: reading.present[index] ? "null" : "no such field" });
}

function absentMask(present: readonly boolean[]): string | null {
  if (!present.includes(false)) return null;
  let mask = "";
  for (const isPresent of present) mask += isPresent ? "0" : "1";
  return mask;
}

function shown(value: JsonValue): string {
  if (typeof value === "string") return showValue(value);
  const nested = isJsonObject(value) || Array.isArray(value);
  return nested ? `${kindOf(value)} ${showValue(toJsonText(value))}` : toJsonText(value);
}
