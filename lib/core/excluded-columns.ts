import type { TableShape } from "./catalog.ts";
import type { TableContract } from "./contract.ts";

/**
 * Columns that a fragment may carry but never writes. A name of `exclude_fields` that is no column stands for the one
 * that differs in case only (`Id` for `id`), unless the contract says something else of that column. Where a table has
 * several of them it stands for none: what a column is for would be a guess.
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
