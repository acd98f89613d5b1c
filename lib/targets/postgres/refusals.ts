import { sqlStateOf } from "../../core/classify-error.ts";
import type { RejectCode } from "../../core/rejects.ts";
import { quoteConstant } from "../../postgres/sql-names.ts";
import { keyText, rejectWhere, type TableJob } from "./table-job.ts";

/** What the server says when it refuses rows: of one row at last, when bisection has come so far. */
export type Refusal = {
  readonly code: string;
  readonly message: string;
  readonly column_name?: string;
  readonly constraint_name?: string;
};

/** Data exceptions, constraints, check options, limits of a row or an index, and what triggers raise. */
const refusing = /^(22|23|44|54|P0)/;
const uniqueViolation = "23505";

/**
 * Whether an error is about the rows and not about the server. Whoever may race with others first looks a second time
 * at a duplicate key: the other one's row is judged then.
 */
export function isRefusal(error: unknown, mayRace: boolean): error is Refusal {
  const state = sqlStateOf(error);
  return state !== null && refusing.test(state) && !(mayRace && state === uniqueViolation);
}

type Meaning = { readonly code: RejectCode; readonly expected: string };

/** By SQLSTATE, or by its class. */
const meanings: Readonly<Record<string, Meaning>> = {
  "23P01": { code: "CONSTRAINT_EXCLUSION", expected: "a row that does not overlap with another one" },
  "23505": { code: "CONSTRAINT_UNIQUE", expected: "no other row with the same key" },
  "23503": { code: "CONSTRAINT_FK", expected: "a row to refer to, and no row that refers to what was changed" },
  "23502": { code: "VALUE_NOT_NULL", expected: "a value: the column is not null" },
  "23514": { code: "CONSTRAINT_CHECK", expected: "a row that satisfies the check constraint" },
  "22001": { code: "VALUE_TOO_LONG", expected: "a value that fits into the column" },
  "22003": { code: "VALUE_RANGE", expected: "a value within the column's range" },
  "22008": { code: "VALUE_RANGE", expected: "a value within the column's range" },
  "22": { code: "VALUE_TYPE", expected: "a value that the table takes" },
  "44": { code: "CONSTRAINT_CHECK", expected: "a row that the view's check option lets through" },
  "54": { code: "DB_LIMIT", expected: "a row within the database's limits, such as the size of an index entry" },
  P0: { code: "CONSTRAINT_TRIGGER", expected: "a row that the table's triggers let through" },
};
const otherConstraint: Meaning = { code: "CONSTRAINT_CHECK", expected: "a row that satisfies the table's constraints" };
const noPartition: Meaning = { code: "CONSTRAINT_PARTITION", expected: "a row that belongs to one of the partitions" };

function meaningOf({ code, constraint_name: constraint }: Refusal): Meaning {
  // The server names no constraint where it finds no partition.
  if (code === "23514" && !constraint) return noPartition;
  return meanings[code] ?? meanings[code.slice(0, 2)] ?? otherConstraint;
}

/** Rejects the one record that the job's rows are. The server's own words may hold values: they are stored, not logged. */
export async function rejectRefused(job: TableJob, refusal: Refusal): Promise<number> {
  const { code, expected } = meaningOf(refusal);
  const { column_name: column, constraint_name: constraint, message } = refusal;
  const rule = {
    code,
    field: column ?? null,
    ...(constraint ? { constraint } : {}),
    expected: `${quoteConstant(`${expected}; the server says: `)} || $1`,
    got: keyText(job, job.sql.typed),
    where: "true",
    parameters: [message],
  };
  const inserted = await rejectWhere(job, { ...rule, from: job.rows("insert") });
  return inserted + (await rejectWhere(job, { ...rule, from: job.rows("update") }));
}
