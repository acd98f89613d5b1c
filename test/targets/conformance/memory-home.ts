import type { Column, ColumnType } from "../../../lib/core/catalog.ts";
import { openLedgerApart } from "./driven-ledger.ts";
import { canonical } from "./memory-judge.ts";
import { type MemoryTable, openMemoryTarget, openStore } from "./memory-target.ts";
import type { ColumnDescription, ColumnKind, TableDescription, TargetHome } from "./target-under-test.ts";

/** The memory target as the conformance suite sees it. */

const lacks = {
  enums: "a text is a text here, whatever labels it should have",
  json: "texts of JSON cannot be compared without their spelling",
  "caseless text": "two texts are equal if their characters are",
  checks: "it has no expressions to check a row by",
  "unique keys": "rows are found by the natural key, and by no other",
  "foreign keys": "no table here knows of another one",
  "deferred constraints": "it has no constraints between tables that could wait",
} as const satisfies TargetHome["lacks"];

export async function openMemoryHome(): Promise<TargetHome> {
  const store = openStore();
  return {
    lacks,
    ledger: openLedgerApart(),
    open: () => openMemoryTarget(store),
    createTable: async (table) => void store.tables.set(table.name, toTable(table)),
    rows: async (name, columns) => {
      const shown = (text: string | null): string | null => text?.replace(/\.?0*Z$/, "Z") ?? null;
      const table = store.tables.get(name);
      const isInstant = (column: string) => typeOf(table, column) === "timestamptz";
      return [...(table?.rows.values() ?? [])].map((row) =>
        columns.map((column) => (isInstant(column) ? shown(row[column] ?? null) : (row[column] ?? null))),
      );
    },
    close: async () => undefined,
  };
}

const typeOf = (table: MemoryTable | undefined, name: string): string | undefined =>
  table?.shape.columns.find((column) => column.name === name)?.type.name;

function toTable({
  name,
  columns,
  key,
  otherKeys = [],
  positive = [],
  references = [],
}: TableDescription): MemoryTable {
  if (otherKeys.length > 0) throw new Error(lacks["unique keys"]);
  if (positive.length > 0) throw new Error(lacks.checks);
  if (references.length > 0) throw new Error(lacks["foreign keys"]);
  const shape = {
    name,
    schema: "memory",
    kind: "r",
    rowSecurity: false,
    columns: columns.map(toColumn),
    uniqueKeys: [{ name: `${name} by key`, columns: key, plain: true, nullsEqual: false }],
    foreignKeys: [],
    checks: [],
    notEnforced: [],
  };
  const defaults = columns.map((column, index): [string, string | null] => {
    const value = column.default;
    return [column.name, value === undefined ? null : canonical(shape.columns[index] as Column, String(value))];
  });
  return { shape, defaults: Object.fromEntries(defaults), rows: new Map() };
}

const toColumn = ({ name, kind, notNull = false, default: value }: ColumnDescription): Column => ({
  name,
  type: { ...plainType, ...typeOfKind(kind) },
  notNull,
  defaultSql: value === undefined ? null : JSON.stringify(value),
  generated: false,
  identity: null,
});

const plainType: Omit<ColumnType, "name" | "sql"> = {
  length: null,
  precision: null,
  scale: null,
  fractionDigits: null,
  smallestUnit: null,
  enumLabels: null,
  element: null,
  range: null,
  domain: null,
};

function typeOfKind(kind: ColumnKind): Pick<ColumnType, "name" | "sql"> & Partial<ColumnType> {
  if (typeof kind === "object") {
    if ("labels" in kind) throw new Error(lacks.enums);
    if ("length" in kind) return { name: "varchar", sql: `varchar(${kind.length})`, length: kind.length };
    const { digits, scale } = kind;
    return { name: "numeric", sql: `numeric(${digits},${scale})`, precision: digits, scale };
  }
  if (kind === "json" || kind === "caseless") throw new Error(lacks[kind === "json" ? "json" : "caseless text"]);
  const names = {
    integer: "int4",
    bigint: "int8",
    text: "text",
    boolean: "bool",
    date: "date",
    instant: "timestamptz",
  };
  return { name: names[kind], sql: names[kind] };
}
