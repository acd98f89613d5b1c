import { conversionOptions, isObliged, nullTexts } from "../contract.ts";
import { fieldMeanings } from "../field-names.ts";
import type { TablePlan } from "../plan.ts";
import { rowWidthOf } from "../row-width.ts";
import type { FastTable } from "./fast-records.ts";
import { fastFormOf } from "./fast-values.ts";

/** What the short way has to know of a plan's table; null where rows may be too wide, which only the exact way tells. */
export function fastTableOf(plan: TablePlan): FastTable | null {
  const { contract } = plan;
  if (rowWidthOf(plan.columns) !== null) return null;
  const columns = plan.columns.map((column) => ({
    form: fastFormOf(column, conversionOptions(contract, column.name)),
    nulls: [...nullTexts(contract, column.name)].map((text) => Buffer.from(text)),
    isObliged: isObliged(contract, column.name),
  }));
  return { columns, meaningOf: fieldMeanings(plan) };
}
