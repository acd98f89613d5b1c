import { type ConversionOptions, defaultConversionOptions, type TableContract } from "./contract.ts";

/** What a table's contract says of single columns, with the defaults filled in. */

/** A contract that has its natural key, as every planned table's has. */
type KeyedContract = TableContract & { readonly natural_key: string[] };

export function conversionOptions({ columns }: KeyedContract, column: string): ConversionOptions {
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
export function nullTexts(contract: KeyedContract, column: string): ReadonlySet<string> {
  const values = new Set(contract.columns[column]?.null_values ?? contract.null_values);
  if (contract.columns[column]?.allow_empty_key) values.delete("");
  else if (contract.natural_key.includes(column)) values.add("");
  return values;
}

/** Whether a record without a value in the column is refused whatever the database says. */
export function isObliged({ natural_key: key, required_fields: required }: KeyedContract, column: string): boolean {
  return key.includes(column) || required.includes(column);
}
