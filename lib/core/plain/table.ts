import { conversionOptions, isObliged, nullTexts } from "../column-settings.ts";
import { fieldMeanings } from "../field-names.ts";
import type { TablePlan } from "../plan.ts";
import { plainFormOf } from "./forms.ts";
import type { PlainTable } from "./records.ts";

/** What the short way has to know of a plan's table. */
export function plainTableOf(plan: TablePlan): PlainTable {
  const { contract } = plan;
  const columns = plan.columns.map((column) => ({
    form: plainFormOf(column, conversionOptions(contract, column.name)),
    nulls: [...nullTexts(contract, column.name)].map((text) => Buffer.from(text)),
    isObliged: isObliged(contract, column.name),
  }));
  return { columns, meaningOf: fieldMeanings(plan) };
}
