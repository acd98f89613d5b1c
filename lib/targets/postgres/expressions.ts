import type { Column } from "../../core/catalog.ts";
import { isImmutable, type TablePlan } from "../../core/plan.ts";
import { qualifiedName, quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { type StagedColumn, stagedColumns } from "./staging.ts";

/**
 * The SQL expressions of one table, over the aliases `s` (staged row), `t` (stored row) and `v` (verdict). Everything
 * that judge and merge say about a value is put together from these.
 */
export type Expressions = {
  readonly target: string;
  readonly staged: readonly StagedColumn[];
  readonly key: readonly string[];
  /** The staged value in the column's type; null where it is not valid. */
  readonly typed: (column: string) => string;
  /** True where the record did not carry the field. */
  readonly absent: (column: string) => string;
  /** Joins `t` to `s` by the natural key. */
  readonly sameKey: string;
  /** What an insert stores in the column. */
  readonly inserted: (column: Column) => string;
  /** What an update leaves in the column. */
  readonly updated: (column: Column) => string;
  /** True where an update would change nothing. */
  readonly unchanged: string;
  /** True where the record is newer than the stored row; null where the contract has no `newer_by`. */
  readonly newer: string | null;
  /** Columns that a record may carry and no update changes, besides the key. */
  readonly immutable: readonly Column[];
  /** Columns that an update may change. */
  readonly updatable: readonly Column[];
};

export function expressionsOf(plan: TablePlan): Expressions {
  const staged = stagedColumns(plan);
  const byName = new Map(staged.map((column) => [column.column.name, column]));
  const key = plan.contract.natural_key;
  const typed = (name: string): string => typedValue(byName.get(name));
  const absent = (name: string): string => absentFlag(byName.get(name));
  const others = staged.map(({ column }) => column).filter(({ name }) => !key.includes(name));
  const immutable = others.filter(({ name }) => isImmutable(plan, name));
  const updatable = others.filter((column) => !immutable.includes(column));
  const newer = newerCondition(plan, typed);
  const updates = new Set(updatable.map(({ name }) => name));
  const updated = ({ name }: Column): string =>
    updates.has(name) ? updatedValue(plan, name, { typed, absent, newer }) : `t.${quoteName(name)}`;
  return {
    target: qualifiedName(plan.shape.schema, plan.table),
    staged,
    key,
    typed,
    absent,
    sameKey: key.map((name) => `t.${quoteName(name)} = ${typed(name)}`).join(" and "),
    inserted: (column) => insertedValue(plan, column, { typed, absent, isStaged: byName.has(column.name) }),
    updated,
    unchanged: updatable.map((column) => sameValue(column, updated(column))).join(" and ") || "true",
    newer,
    immutable,
    updatable,
  };
}

/** A record without the value is never newer; a stored row without it is older than any. */
function newerCondition({ contract }: TablePlan, typed: (name: string) => string): string | null {
  if (contract.newer_by === undefined) return null;
  const [value, stored] = [typed(contract.newer_by), `t.${quoteName(contract.newer_by)}`];
  return `coalesce(${value} > ${stored}, ${value} is not null and ${stored} is null)`;
}

type Updating = Pick<Expressions, "typed" | "absent" | "newer">;

/** What an update leaves in a column that it may change: the table's resolution, then the column's own settings. */
function updatedValue({ contract }: TablePlan, name: string, { typed, absent, newer }: Updating): string {
  const stored = `t.${quoteName(name)}`;
  const own = contract.columns[name];
  const merging = contract.conflict_resolution === "merge";
  const keepsAbsent = own?.keep_if_absent ?? true;
  let value = typed(name);
  if (merging) value = `coalesce(${value}, ${stored})`;
  else if (keepsAbsent) value = `case when ${absent(name)} then ${stored} else ${value} end`;
  if (own?.fill_if_null) value = `coalesce(${stored}, ${value})`;
  return newer !== null && isNewestOnly(contract, name) ? `case when ${newer} then ${value} else ${stored} end` : value;
}

/** Where fields follow `newer_by`, the field itself does so too: an older record must not set it back. */
function isNewestOnly({ columns, newer_by: newerBy }: TablePlan["contract"], name: string): boolean {
  if (columns[name]?.newest) return true;
  return name === newerBy && Object.values(columns).some(({ newest }) => newest);
}

/** Casts stand inside the case: the server may cast before it filters. */
function typedValue(staged: StagedColumn | undefined): string {
  if (!staged) return "null";
  const value = `s.${quoteName(staged.column.name)}`;
  if (staged.exact) return value;
  const type = staged.column.type.sql;
  return `case when pg_input_is_valid(${value}, ${quoteConstant(type)}) then ${value}::${type} end`;
}

function absentFlag(staged: StagedColumn | undefined): string {
  return staged ? `coalesce(substr(s._tl_absent, ${staged.index + 1}, 1) = '1', false)` : "true";
}

/** Types whose equality tells every two values apart that are shown differently. */
const exactlyEqual = new Set([
  ...["bool", "int2", "int4", "int8", "uuid", "bytea", "date", "time", "timestamp", "timestamptz", "inet", "cidr"],
]);
const textual = new Set(["text", "varchar", "bpchar"]);

/**
 * Whether a value is the stored one, digit by digit: citext, 1.0 and 1, -0 and 0, a day and 24 hours are equal to the
 * server and yet not the same. Types without an equality operator are compared by their text, too.
 */
function sameValue({ name, type }: Column, value: string): string {
  const stored = `t.${quoteName(name)}`;
  const isExact =
    exactlyEqual.has(type.name) || type.enumLabels !== null || (type.name === "numeric" && type.scale !== null);
  if (isExact) return `${value} is not distinct from ${stored}`;
  const cast = textual.has(type.name) ? "" : "::text";
  return `(${value})${cast} collate "C" is not distinct from ${stored}${cast} collate "C"`;
}

type Staged = {
  readonly typed: (name: string) => string;
  readonly absent: (name: string) => string;
  readonly isStaged: boolean;
};

function insertedValue(plan: TablePlan, column: Column, { typed, absent, isStaged }: Staged): string {
  const fallback = defaultOf(plan, column);
  if (!isStaged) return fallback ?? "null";
  return fallback === null
    ? typed(column.name)
    : `case when ${absent(column.name)} then ${fallback} else ${typed(column.name)} end`;
}

function defaultOf(plan: TablePlan, column: Column): string | null {
  if (column.identity === null) return column.defaultSql;
  // In a query of its own, so that it is looked up once and not for every row.
  const sequence = `(select pg_get_serial_sequence(${quoteConstant(qualifiedName(plan.shape.schema, plan.table))}, ${quoteConstant(column.name)})::regclass)`;
  return `nextval(${sequence})::${column.type.sql}`;
}

/** True where evaluating the default draws from a sequence: only the insert itself may do that. */
export function drawsFromSequence(column: Column): boolean {
  return column.identity !== null || /\bnextval\(/i.test(column.defaultSql ?? "");
}
