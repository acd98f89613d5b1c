import type { Good, TypeName, Written } from "./values.ts";

/** Tables, contracts, stored rows and batches as plain data: what the oracle judges and what the server is given. */

export type ColumnSpec = {
  readonly name: string;
  readonly type: TypeName;
  readonly notNull: boolean;
  readonly default: Good | null;
};

/** Check constraints: a value that may not be, columns that are null together only, columns of which one is needed. */
export type CheckSpec =
  | { readonly kind: "differs"; readonly name: string; readonly columns: readonly [string]; readonly value: Good }
  | { readonly kind: "together" | "either"; readonly name: string; readonly columns: readonly [string, string] };

export type UniqueSpec = { readonly name: string; readonly columns: readonly string[]; readonly nullsEqual: boolean };

export type ForeignKeySpec = {
  readonly name: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
  readonly deferred: boolean;
};

export type TableSpec = {
  readonly name: string;
  readonly columns: readonly ColumnSpec[];
  readonly key: readonly string[];
  /** What holds the natural key in the database. */
  readonly guard: "primary key" | "unique" | "none";
  readonly checks: readonly CheckSpec[];
  readonly uniques: readonly UniqueSpec[];
  readonly foreignKeys: readonly ForeignKeySpec[];
  /** A jsonb column that may keep unknown fields. */
  readonly rescue: string | null;
  /** Whether it has "Id" bigserial, created_at and updated_at, which fragments never write. */
  readonly system: boolean;
};

export type ColumnSettings = {
  readonly immutable?: boolean;
  readonly keep_if_absent?: boolean;
  readonly fill_if_null?: boolean;
  readonly newest?: boolean;
  readonly null_values?: readonly string[];
  readonly allow_empty_key?: boolean;
};

/** A contract as it stands in config/tables.json. */
export type ContractSpec = {
  readonly natural_key: readonly string[];
  readonly update_strategy: "upsert" | "insert_only" | "update_only";
  readonly conflict_resolution: "merge" | "replace" | "skip" | "newest";
  readonly newer_by?: string;
  readonly immutable_fields: readonly string[];
  readonly required_fields: readonly string[];
  readonly unknown_fields: "reject" | "ignore" | "rescue";
  readonly rescue_column?: string;
  readonly null_values?: readonly string[];
  readonly audit_changes: boolean;
  readonly columns: Readonly<Record<string, ColumnSettings>>;
};

export type Row = Readonly<Record<string, Good | null>>;

/** Fields in the order of the text; null is JSON's. What is not there is absent. */
export type RecordSpec = {
  readonly fields: Readonly<Record<string, Written | null>>;
  readonly unknown: Readonly<Record<string, string>>;
};

/** What one case puts into one table. Without fragments the table is not part of the batch. */
export type Content = {
  readonly contract: ContractSpec;
  readonly stored: readonly Row[];
  readonly fragments: readonly (readonly RecordSpec[])[];
};

export type Case = Readonly<Record<string, Content>>;

/** Tables, parents first, and several cases to try on them. */
export type World = { readonly tables: readonly TableSpec[]; readonly cases: readonly Case[] };

export const isGood = (written: Written | null): written is Good => written !== null && "text" in written;

export const defaultNulls: readonly string[] = ["", "NULL", "NA"];

/** `part-1.json` of a table: rejects name it. */
export const fragmentKey = (table: string, index: number): string => `${table}/part-${index + 1}.json`;

export const isMarked = (row: Row, column: string, value: Good): boolean => row[column]?.same === value.same;

/** The columns' values as one text by the types' own equality; null where one of them is null. */
export function markOf(row: Row, columns: readonly string[]): string | null {
  const values = columns.map((column) => row[column] ?? null);
  return values.includes(null) ? null : JSON.stringify(values.map((value) => value?.same));
}

/** The same, with nulls equal to each other. */
export function markWithNulls(row: Row, columns: readonly string[]): string {
  return JSON.stringify(columns.map((column) => row[column]?.same ?? null));
}
