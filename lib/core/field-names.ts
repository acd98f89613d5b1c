import { excludedColumns } from "./contract.ts";
import type { TablePlan } from "./plan.ts";

/** What a name in a record stands for: the index of a column of the plan, or why there is none. */
export type FieldMeaning = number | "ignored" | "readonly" | "unknown";

export type MeaningOf = (name: string) => FieldMeaning;

/** Records with ever new names must not grow the memory of a worker. */
const maxKnownNames = 10_000;

/** Exact names first, then names that differ in case only. Keeps what it has found out. */
export function fieldMeanings(plan: TablePlan): MeaningOf {
  const exact = exactMeanings(plan);
  const folded = Map.groupBy(exact.keys(), (name) => name.toLowerCase());
  const otherwise = plan.contract.unknown_fields === "ignore" ? "ignored" : "unknown";
  const known = new Map<string, FieldMeaning>();
  return (name) => {
    const seen = known.get(name);
    if (seen !== undefined) return seen;
    const alike = folded.get(name.toLowerCase()) ?? [];
    const meaning = exact.get(name) ?? (alike.length === 1 ? exact.get(alike[0] as string) : undefined) ?? otherwise;
    if (known.size < maxKnownNames) known.set(name, meaning);
    return meaning;
  };
}

function exactMeanings({ columns, contract, shape }: TablePlan): Map<string, FieldMeaning> {
  const exact = new Map<string, FieldMeaning>(columns.map(({ name }, index) => [name, index]));
  const excluded = new Set([...contract.exclude_fields, ...excludedColumns(shape, contract)]);
  for (const { name } of shape.columns) {
    if (!exact.has(name) && !excluded.has(name)) exact.set(name, "readonly");
  }
  for (const name of excluded) exact.set(name, "ignored");
  return exact;
}
