import { conversionOptions, isObliged, nullTexts } from "../column-settings.ts";
import { fieldMeanings } from "../field-names.ts";
import type { TablePlan } from "../plan.ts";
import { rowWidthOf } from "../row-width.ts";
import { plainFormOf } from "./forms.ts";
import type { PlainTable } from "./records.ts";

/** What the short way has to know of a plan's table; null where rows may be too wide, which only the exact way tells. */
export function plainTableOf(plan: TablePlan): PlainTable | null {
  const { contract } = plan;
  if (rowWidthOf(plan.columns) !== null) return null;
  const columns = plan.columns.map((column) => ({
    form: plainFormOf(column, conversionOptions(contract, column.name)),
    nulls: [...nullTexts(contract, column.name)].map((text) => Buffer.from(text)),
    isObliged: isObliged(contract, column.name),
  }));
  return { columns, meaningOf: fieldMeanings(plan) };
}
