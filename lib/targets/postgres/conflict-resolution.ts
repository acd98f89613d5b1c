import type { Column } from "../../core/catalog.ts";
import type { TablePlan } from "../../core/plan.ts";
import { quoteName } from "../../postgres/sql-names.ts";

/**
 * What a record does to the stored row of its key, by the contract's `conflict_resolution` and the settings of single
 * columns: as SQL over the aliases `s` (staged row) and `t` (stored row).
 */

/** A staged value in its column's type, and whether the record carried the field. */
type StagedValue = { readonly typed: (column: string) => string; readonly absent: (column: string) => string };

type Comparison = {
  /** True if the record is newer than the stored row; null if the contract has no `newer_by`. */
  readonly newer: string | null;
  /** True if an update would change nothing. */
  readonly unchanged: string;
};

/** What becomes of a record whose key is stored already. */
export function verdictOnStored({ contract }: TablePlan, { newer, unchanged }: Comparison): string {
  const { update_strategy: strategy, conflict_resolution: resolution } = contract;
  if (strategy === "insert_only" || resolution === "skip") return "'skipped'";
  const older = resolution === "newest" && newer !== null ? ` when not ${newer} then 'skipped'` : "";
  return `case when ${unchanged} then 'unchanged'${older} else 'update' end`;
}

/** A record without the value is never newer; a stored row without it is older than any. */
export function newerCondition({ contract }: TablePlan, typed: (name: string) => string): string | null {
  if (contract.newer_by === undefined) return null;
  const [value, stored] = [typed(contract.newer_by), `t.${quoteName(contract.newer_by)}`];
  return `coalesce(${value} > ${stored}, ${value} is not null and ${stored} is null)`;
}

/** What an update leaves in a column that it may change: the table's resolution, then the column's own settings. */
export function updatedValue(
  { contract }: TablePlan,
  name: string,
  { typed, absent, newer }: StagedValue & Pick<Comparison, "newer">,
): string {
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

/** Types whose equality tells every two values apart that are shown differently. */
const exactlyEqual = new Set([
  ...["bool", "int2", "int4", "int8", "uuid", "bytea", "date", "time", "timestamp", "timestamptz", "inet", "cidr"],
]);
const textual = new Set(["text", "varchar", "bpchar"]);

/**
 * Whether a value is the stored one, digit by digit: citext, 1.0 and 1, -0 and 0, a day and 24 hours are equal to the
 * server and yet not the same. Types without an equality operator are compared by their text, too.
 */
export function sameValue({ name, type }: Column, value: string): string {
  const stored = `t.${quoteName(name)}`;
  const isExact =
    exactlyEqual.has(type.name) || type.enumLabels !== null || (type.name === "numeric" && type.scale !== null);
  if (isExact) return `${value} is not distinct from ${stored}`;
  const cast = textual.has(type.name) ? "" : "::text";
  return `(${value})${cast} collate "C" is not distinct from ${stored}${cast} collate "C"`;
}
