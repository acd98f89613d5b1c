import type { Column } from "../../core/catalog.ts";
import type { TablePlan } from "../../core/plan.ts";
import { quoteName } from "../../postgres/sql-names.ts";

/**
 * What a record does to the stored row of its key, by the contract's `conflict_resolution` and the settings of single
 * columns: as SQL over the aliases `s` (staged row) and `t` (stored row).
 */

/** The verdict on a record whose key is stored already: skipped, unchanged or update. */
export function verdictOnStored(
  { contract }: TablePlan,
  { newer, unchanged }: { readonly newer: string | null; readonly unchanged: string },
): string {
  const { update_strategy: strategy, conflict_resolution: resolution } = contract;
  if (strategy === "insert_only" || resolution === "skip") return "'skipped'";
  const older = resolution === "newest" && newer !== null ? ` when not ${newer} then 'skipped'` : "";
  return `case when ${unchanged} then 'unchanged'${older} else 'update' end`;
}

/**
 * True if the record is newer than the stored row; null if the contract has no `newer_by`. A record without the value
 * is never newer; a stored row without it is older than any record that has it.
 */
export function newerCondition({ contract }: TablePlan, typed: (name: string) => string): string | null {
  if (contract.newer_by === undefined) return null;
  const [value, stored] = [typed(contract.newer_by), `t.${quoteName(contract.newer_by)}`];
  return `coalesce(${value} > ${stored}, ${value} is not null and ${stored} is null)`;
}

/** A staged value in its column's type, whether the record lacks the field, and whether the record is newer. */
type StagedValue = {
  readonly typed: (column: string) => string;
  readonly absent: (column: string) => string;
  readonly newer: string | null;
};

/** The value that an update leaves in a column: the table's resolution first, then the column's own settings. */
export function updatedValue({ contract }: TablePlan, name: string, { typed, absent, newer }: StagedValue): string {
  const stored = `t.${quoteName(name)}`;
  const own = contract.columns[name];
  const keepsAbsent = own?.keep_if_absent ?? true;
  let value = typed(name);
  if (contract.conflict_resolution === "merge") value = `coalesce(${value}, ${stored})`;
  else if (keepsAbsent) value = `case when ${absent(name)} then ${stored} else ${value} end`;
  if (own?.fill_if_null) value = `coalesce(${stored}, ${value})`;
  return newer !== null && isNewestOnly(contract, name) ? `case when ${newer} then ${value} else ${stored} end` : value;
}

/** True if the column follows `newer_by`, as `newer_by` itself does if any column does: no older record resets it. */
function isNewestOnly({ columns, newer_by: newerBy }: TablePlan["contract"], name: string): boolean {
  if (columns[name]?.newest) return true;
  return name === newerBy && Object.values(columns).some(({ newest }) => newest);
}

/** Types whose equality distinguishes any two values that are shown differently. */
const exactlyEqual = new Set([
  ...["bool", "int2", "int4", "int8", "uuid", "bytea", "date", "time", "timestamp", "timestamptz", "inet", "cidr"],
]);
const textual = new Set(["text", "varchar", "bpchar"]);

/**
 * Whether a value is the stored one, digit by digit: to the server two citext values, 1.0 and 1, -0 and 0, a day and
 * 24 hours are equal, and yet they are not the same. Comparing as text also serves types without an equality operator.
 */
export function sameValue({ name, type }: Column, value: string): string {
  const stored = `t.${quoteName(name)}`;
  const isExact =
    exactlyEqual.has(type.name) || type.enumLabels !== null || (type.name === "numeric" && type.scale !== null);
  if (isExact) return `${value} is not distinct from ${stored}`;
  const cast = textual.has(type.name) ? "" : "::text";
  return `(${value})${cast} collate "C" is not distinct from ${stored}${cast} collate "C"`;
}
