import type { Column } from "../../core/catalog.ts";
import { isImmutable, type TablePlan } from "../../core/plan.ts";
import { qualifiedName, quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { newerCondition, sameValue, updatedValue } from "./conflict-resolution.ts";
import { type StagedColumn, stagedColumns } from "./staging.ts";

/**
 * The SQL expressions of one table, over the aliases `s` (staged row) and `t` (stored row). Judge and merge build every
 * statement about a value from these.
 */
export type Expressions = {
  readonly target: string;
  readonly staged: readonly StagedColumn[];
  readonly key: readonly string[];
  /** The staged value in the column's type; null if it is not valid. */
  readonly typed: (column: string) => string;
  /** True if the record does not carry the field. */
  readonly absent: (column: string) => string;
  /** Joins `t` to `s` by the natural key. */
  readonly sameKey: string;
  /** The value that an insert stores in the column. */
  readonly inserted: (column: Column) => string;
  /** The value that an update leaves in the column. */
  readonly updated: (column: Column) => string;
  /** True if an update would change nothing. */
  readonly unchanged: string;
  /** True if the record is newer than the stored row; null if the contract has no `newer_by`. */
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
    inserted: (column) => insertedValue(plan, column, byName.get(column.name)),
    updated,
    unchanged: updatable.map((column) => sameValue(column, updated(column))).join(" and ") || "true",
    newer,
    immutable,
    updatable,
  };
}

/** The cast stands inside the case, since the server may cast before it filters. */
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

function insertedValue(plan: TablePlan, column: Column, staged: StagedColumn | undefined): string {
  const fallback = defaultOf(plan, column);
  if (!staged) return fallback ?? "null";
  const value = typedValue(staged);
  return fallback === null ? value : `case when ${absentFlag(staged)} then ${fallback} else ${value} end`;
}

function defaultOf(plan: TablePlan, column: Column): string | null {
  if (column.identity === null) return column.defaultSql;
  // In a query of its own, so that it is looked up once and not for every row.
  const sequence = `(select pg_get_serial_sequence(${quoteConstant(qualifiedName(plan.shape.schema, plan.table))}, ${quoteConstant(column.name)})::regclass)`;
  return `nextval(${sequence})::${column.type.sql}`;
}

/** True if evaluating the default draws from a sequence, which only the insert itself may do. */
export function drawsFromSequence(column: Column): boolean {
  return column.identity !== null || /\bnextval\(/i.test(column.defaultSql ?? "");
}
