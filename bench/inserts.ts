import type postgres from "postgres";
import type { Dataset, Row } from "./datasets.ts";
import type { Delivery } from "./delivery.ts";
import { rowsOf } from "./generate.ts";

/** What most tools do. Both get their rows ready-made and one transaction, which is more than they have in practice. */

type Insert = (sql: postgres.Sql, dataset: Dataset, rows: readonly Row[]) => Promise<void>;

/** The first rows of a delivery: enough for a rate. */
export function firstRows(dataset: Dataset, { records, ascending }: Delivery, most: number): Row[] {
  return [...rowsOf(dataset, { records, ascending, to: Math.min(records, most) })];
}

const rowsPerStatement = 1_000;

export const insertMany: Insert = async (sql, dataset, rows) => {
  const { table, names } = columnsOf(dataset);
  await sql.begin(async (tx) => {
    for (let from = 0; from < rows.length; from += rowsPerStatement) {
      const records = rows.slice(from, from + rowsPerStatement).map((row) => toRecord(names, row));
      await tx`insert into ${tx(table)} ${tx(records, names)}`;
    }
  });
};

export const insertEach: Insert = async (sql, dataset, rows) => {
  const { table, names } = columnsOf(dataset);
  await sql.begin(async (tx) => {
    for (const row of rows) await tx`insert into ${tx(table)} ${tx(toRecord(names, row), names)}`;
  });
};

function columnsOf({ table, fields }: Dataset) {
  return { table: `public.${table}`, names: fields.map(({ name }) => name) };
}

const toRecord = (names: readonly string[], row: Row): Record<string, Row[number]> =>
  Object.fromEntries(names.map((name, index) => [name, row[index] ?? null]));
