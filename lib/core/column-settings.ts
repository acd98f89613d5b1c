import { type ConversionOptions, defaultConversionOptions } from "./conversion.ts";
import type { TablePlan } from "./plan.ts";

/** What a table's contract says of single columns, with the defaults filled in. */

type Contract = TablePlan["contract"];

export function conversionOptions({ columns }: Contract, column: string): ConversionOptions {
  const own = columns[column];
  return {
    timezone: own?.timezone ?? defaultConversionOptions.timezone,
    trueValues: own?.true_values ?? defaultConversionOptions.trueValues,
    falseValues: own?.false_values ?? defaultConversionOptions.falseValues,
    byteaEncoding: own?.bytea_encoding ?? defaultConversionOptions.byteaEncoding,
    allowInfinity: own?.allow_infinity ?? defaultConversionOptions.allowInfinity,
  };
}

/** Texts that mean null. An empty text in the natural key is one, unless the contract lets it be a key. */
export function nullTexts(contract: Contract, column: string): ReadonlySet<string> {
  const values = new Set(contract.columns[column]?.null_values ?? contract.null_values);
  if (contract.columns[column]?.allow_empty_key) values.delete("");
  else if (contract.natural_key.includes(column)) values.add("");
  return values;
}

/** Whether a record without a value in the column is refused whatever the database says. */
export function isObliged({ natural_key: key, required_fields: required }: Contract, column: string): boolean {
  return key.includes(column) || required.includes(column);
}
