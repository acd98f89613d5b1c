import type { CheckSpec, ColumnSpec, RecordSpec, Row, TableSpec } from "./world.ts";

/** A world as text: statements that make its tables and rows, and fragments. Also what a failure prints. */

export const literal = (text: string): string => ` E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

export function createTableSql(table: TableSpec): string {
  const parts = [
    ...(table.system
      ? ['"Id" bigserial', "created_at timestamptz default now()", `updated_at timestamptz default now()`]
      : []),
    ...table.columns.map(columnSql),
    ...(table.guard === "none" ? [] : [`${table.guard} (${table.key.join(", ")})`]),
    ...table.checks.map((check) => `constraint ${check.name} check (${checkSql(check, table)})`),
    ...table.uniques.map(
      ({ name, columns, nullsEqual }) =>
        `constraint ${name} unique ${nullsEqual ? "nulls not distinct " : ""}(${columns.join(", ")})`,
    ),
    ...table.foreignKeys.map(
      ({ name, columns, parent, parentColumns, deferred }) =>
        `constraint ${name} foreign key (${columns.join(", ")}) references ${parent} (${parentColumns.join(", ")})` +
        (deferred ? " deferrable initially deferred" : ""),
    ),
  ];
  return `create table ${table.name} (\n  ${parts.join(",\n  ")}\n)`;
}

function columnSql({ name, type, notNull, default: value }: ColumnSpec): string {
  return `${name} ${type}${notNull ? " not null" : ""}${value ? ` default${literal(value.text)}` : ""}`;
}

function checkSql(check: CheckSpec, table: TableSpec): string {
  const [one, other] = check.columns;
  if (check.kind === "differs") {
    const type = table.columns.find(({ name }) => name === one)?.type;
    return `${one} <>${literal(check.value.text)}::${type}`;
  }
  if (check.kind === "together") return `(${one} is null) = (${other} is null)`;
  return `${one} is not null or ${other} is not null`;
}

/** Rows that were there before, with stamps of another year. */
export function insertSql(table: TableSpec, rows: readonly Row[]): string {
  if (rows.length === 0) return "select";
  const names = table.columns.map(({ name }) => name);
  const stamps = table.system ? ["created_at", "updated_at"] : [];
  const values = rows.map((row) => {
    const texts = names.map((name) => (row[name] ? literal(row[name].text) : "null"));
    return `(${[...texts, ...stamps.map(() => "'2020-01-01Z'")].join(", ")})`;
  });
  return `insert into ${table.name} (${[...names, ...stamps].join(", ")}) values\n  ${values.join(",\n  ")}`;
}

/** Every column as text; of the system's columns whether they are filled, and whether the stamp is a new one. */
export function selectSql(table: TableSpec): string {
  const texts = table.columns.map(({ name }) => `${name}::text`);
  const system = table.system
    ? [`("Id" is not null and created_at is not null)::text`, `(updated_at > '2021-01-01')::text`]
    : [];
  return `select jsonb_build_array(${[...texts, ...system].join(", ")})::text as row from ${table.name}`;
}

export function recordJson({ fields, unknown }: RecordSpec): string {
  const known = Object.entries(fields).map(([name, written]) => `"${name}":${written?.json ?? "null"}`);
  return `{${[...known, ...Object.entries(unknown).map(([name, json]) => `"${name}":${json}`)].join(",")}}`;
}

export const fragmentJson = (records: readonly RecordSpec[]): string => `[${records.map(recordJson).join(",\n")}]`;
