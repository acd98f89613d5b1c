import { z } from "zod";
import { type Catalog, columnOf, type TableShape } from "./catalog.ts";

/** Table contracts, which say how each table is loaded: read from `config/tables.json`, with the keys of that file. */

const name = z.string().min(1).max(63);
const names = z.array(name);
const texts = z.array(z.string());
const toLower = (word: string): string => word.toLowerCase();

/** Settings of one column that bear on the conversion of its values, with defaults filled in. */
export type ConversionOptions = {
  /** IANA zone of timestamps without an offset in a timestamptz column. @default UTC */
  readonly timezone: string;
  readonly trueValues: readonly string[];
  readonly falseValues: readonly string[];
  readonly byteaEncoding: "hex" | "base64";
  readonly allowInfinity: boolean;
};

export const defaultConversionOptions: ConversionOptions = {
  timezone: "UTC",
  trueValues: ["true", "yes", "t", "1"],
  falseValues: ["false", "no", "f", "0"],
  byteaEncoding: "hex",
  allowInfinity: false,
};

const columnContract = z
  .strictObject({
    null_values: texts.optional(),
    immutable: z.boolean().optional(),
    timezone: z.string().refine(isTimeZone, "an IANA time zone such as America/New_York").optional(),
    true_values: texts.min(1).optional(),
    false_values: texts.min(1).optional(),
    bytea_encoding: z.enum(["hex", "base64"]).optional(),
    allow_infinity: z.boolean().optional(),
    allow_empty_key: z.boolean().optional(),
    keep_if_absent: z.boolean().optional(),
    fill_if_null: z.boolean().optional(),
    newest: z.boolean().optional(),
  })
  .superRefine((column, context) => {
    const trueValues = new Set((column.true_values ?? defaultConversionOptions.trueValues).map(toLower));
    const both = (column.false_values ?? defaultConversionOptions.falseValues).filter((word) =>
      trueValues.has(toLower(word)),
    );
    if (both.length === 0) return;
    const words = both.map((word) => JSON.stringify(word)).join(", ");
    context.addIssue({ code: "custom", message: `${words} cannot be among both true_values and false_values` });
  });

const tableContract = z
  .strictObject({
    natural_key: names.min(1).optional(),
    immutable_fields: names.default([]),
    update_strategy: z.enum(["upsert", "insert_only", "update_only"]).default("upsert"),
    conflict_resolution: z.enum(["merge", "replace", "skip", "newest"]).default("merge"),
    newer_by: name.optional(),
    audit_changes: z.boolean().default(false),
    exclude_fields: names.default(["Id", "created_at", "updated_at"]),
    null_values: texts.default(["", "NULL", "NA"]),
    on_error: z.literal("abort").default("abort"),
    unknown_fields: z.enum(["reject", "ignore", "rescue"]).default("reject"),
    rescue_column: name.optional(),
    target: z.literal("postgres").default("postgres"),
    required_fields: names.default([]),
    columns: z.record(name, columnContract).default({}),
  })
  .refine((table) => table.conflict_resolution !== "newest" || table.newer_by !== undefined, {
    message: "conflict_resolution newest needs newer_by, the field that tells which record is newer",
  })
  .refine((table) => table.newer_by !== undefined || !Object.values(table.columns).some(({ newest }) => newest), {
    message: "a column with newest needs newer_by of its table, the field that tells which record is newer",
  })
  .refine((table) => table.unknown_fields !== "rescue" || table.rescue_column !== undefined, {
    message: "unknown_fields rescue needs rescue_column, the column that keeps the unknown fields as JSON",
  });

const contractsFile = z.strictObject({
  commit: z.literal("batch").default("batch"),
  tables: z.record(name, tableContract),
});

export type TableContract = z.infer<typeof tableContract>;
export type Contracts = z.infer<typeof contractsFile>;

/** A version of the contracts, named by the hash of its text. */
export type ContractsVersion = { readonly hash: string; readonly contracts: Contracts };

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }) !== null;
  } catch {
    return false;
  }
}

export type ParsedContracts =
  | { readonly contracts: Contracts; readonly faults: readonly [] }
  | { readonly contracts: null; readonly faults: readonly string[] };

/** Parses the text of `config/tables.json`; never throws, names every fault at once. */
export function parseContracts(text: string): ParsedContracts {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return { contracts: null, faults: [`not JSON: ${(error as Error).message}`] };
  }
  const parsed = contractsFile.safeParse(json);
  if (parsed.success) return { contracts: parsed.data, faults: [] };
  return { contracts: null, faults: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`) };
}

/** Checks every name of the contracts against the live catalog, and names every fault at once. */
export function contractFaults(contracts: Contracts, catalog: Catalog): string[] {
  return Object.entries(contracts.tables).flatMap(([table, contract]) => {
    const shape = catalog.get(table);
    if (!shape) return [`table ${table}: no such table in the database; create it, or take it out of the contracts`];
    return tableFaults(contract, shape).map((fault) => `table ${table}: ${fault}`);
  });
}

export function tableFaults(contract: TableContract, shape: TableShape): string[] {
  const { unknown, excluded, unwritable, incomparable } = nameRules(contract, shape);
  const key = contract.natural_key ?? [];
  const rescue = contract.rescue_column === undefined ? [] : [contract.rescue_column];
  const newerBy = contract.newer_by === undefined ? [] : [contract.newer_by];
  return [
    ...unknown("natural_key", key),
    ...excluded("natural_key", key),
    ...unwritable("natural_key", key),
    ...incomparable("natural_key", key),
    ...key
      .filter((column, index) => key.indexOf(column) < index)
      .map((column) => `natural_key names column ${column} twice`),
    ...unknown("immutable_fields", contract.immutable_fields),
    ...unknown("required_fields", contract.required_fields),
    ...excluded("required_fields", contract.required_fields),
    ...unwritable("required_fields", contract.required_fields),
    ...unknown("newer_by", newerBy),
    ...excluded("newer_by", newerBy),
    ...unwritable("newer_by", newerBy),
    ...incomparable("newer_by", newerBy),
    ...unknown("columns", Object.keys(contract.columns)),
    ...unknown("rescue_column", rescue),
    ...excluded("rescue_column", rescue),
    ...unwritable("rescue_column", rescue),
    ...rescueFault(contract, shape),
  ];
}

/** Faults that a column may have for the setting that names it. */
function nameRules(contract: TableContract, shape: TableShape) {
  const rule =
    (isFaulty: (column: string) => boolean, toText: (column: string) => string) =>
    (setting: string, columns: readonly string[]): string[] =>
      columns.filter(isFaulty).map((column) => `${setting} names ${toText(column)}`);
  return {
    unknown: rule(
      (column) => !columnOf(shape, column),
      (column) => `column ${column}, which the table does not have`,
    ),
    excluded: rule(
      (column) => contract.exclude_fields.includes(column),
      (column) => `${column}, which exclude_fields keeps from being read`,
    ),
    unwritable: rule(
      (column) => shape.columns.some((own) => own.name === column && (own.generated || own.identity === "always")),
      (column) => `column ${column}, which only the database writes`,
    ),
    incomparable: rule(
      (column) => columnOf(shape, column)?.type.name === "json",
      (column) => `column ${column} of type json, which cannot be compared; use jsonb or text`,
    ),
  };
}

function rescueFault(contract: TableContract, shape: TableShape): string[] {
  const column = contract.rescue_column === undefined ? undefined : columnOf(shape, contract.rescue_column);
  if (!column || ["json", "jsonb"].includes(column.type.name)) return [];
  return [`rescue_column ${column.name} has type ${column.type.sql}, expected json or jsonb`];
}

/** The contract of a planned table, which always has a natural key. */
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

/** Texts that mean null. In the natural key the empty text always does, unless the contract allows an empty key. */
export function nullTexts(contract: KeyedContract, column: string): ReadonlySet<string> {
  const values = new Set(contract.columns[column]?.null_values ?? contract.null_values);
  if (contract.columns[column]?.allow_empty_key) values.delete("");
  else if (contract.natural_key.includes(column)) values.add("");
  return values;
}

/** True if a record without a value in the column is rejected, even if the database allows null. */
export function isObliged({ natural_key: key, required_fields: required }: KeyedContract, column: string): boolean {
  return key.includes(column) || required.includes(column);
}

/**
 * Columns that a fragment may carry but never writes. A name of `exclude_fields` that is no column stands for the one
 * column that differs from it in case only (`Id` for `id`), unless the contract names that column elsewhere. If a table
 * has several such columns, the name stands for none of them: which one is meant would be a guess.
 */
export function excludedColumns({ columns }: TableShape, contract: TableContract): ReadonlySet<string> {
  const names = new Set(columns.map(({ name }) => name));
  const spellings = Map.groupBy(names, (name) => name.toLowerCase());
  const folded = new Set(contract.exclude_fields.filter((name) => !names.has(name)).map((name) => name.toLowerCase()));
  const named = new Set([
    ...(contract.natural_key ?? []),
    ...contract.required_fields,
    ...contract.immutable_fields,
    ...Object.keys(contract.columns),
    ...[contract.newer_by, contract.rescue_column].filter((name) => name !== undefined),
  ]);
  const isFolded = (name: string): boolean =>
    folded.has(name.toLowerCase()) && spellings.get(name.toLowerCase())?.length === 1;
  const excluded = columns.filter(
    ({ name }) => contract.exclude_fields.includes(name) || (isFolded(name) && !named.has(name)),
  );
  return new Set(excluded.map(({ name }) => name));
}
