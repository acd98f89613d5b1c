import { maxStoredRejects, type RejectCode } from "../../core/rejects.ts";
import { quoteConstant } from "../../postgres/sql-names.ts";
import { markRejected } from "./judge-records.ts";
import { type Merged, type RowError, tryMerge } from "./merge.ts";
import { type Effect, rejectWhere, type TableJob, valuesText } from "./table-job.ts";

/**
 * Isolates the records that the server refuses in the merge for what no set-based rule covers: exclusion constraints,
 * triggers, partitions, unique expressions. It refuses all rows at once; bisection under savepoints finds the records.
 */

/** `unjudged` counts the records that were not tried, because the search ended before. */
export type Isolated = Merged & { readonly unjudged: number };

/** Number of merges that look for refused records at most; to find one among a million takes 40. */
const maxSteps = 1_000;

/** First and last place in the queue. */
type Range = { readonly from: number; readonly to: number };

/** Halves refused ranges until single records are left. Merged rows stay, so that later records meet them. */
export async function isolate(job: TableJob, effects: readonly Effect[]): Promise<Isolated> {
  const waiting = halvesOf({ from: 1, to: await openQueue(job, effects) });
  const sum = { inserted: 0, updated: 0, unjudged: 0 };
  let rejected = 0;
  for (let step = 0; waiting.length > 0 && step < maxSteps && rejected < maxStoredRejects; step += 1) {
    const range = waiting.pop() as Range;
    const part = partOf(job, range);
    const outcome = await tryMerge(part, effects);
    if (!("rowError" in outcome)) {
      sum.inserted += outcome.inserted;
      sum.updated += outcome.updated;
    } else if (range.from < range.to) waiting.push(...halvesOf(range));
    else rejected += await rejectOnly(part, outcome.rowError);
  }
  for (const { from, to } of waiting) sum.unjudged += to - from + 1;
  await markRejected(job);
  await job.tx.unsafe(`drop table ${job.queue}`);
  return sum;
}

/** The earlier half comes last, and is taken first. */
function halvesOf({ from, to }: Range): Range[] {
  if (from === to) return [{ from, to }];
  const middle = Math.floor((from + to) / 2);
  return [
    { from: middle + 1, to },
    { from, to: middle },
  ];
}

/** Numbers the rows to merge in the order of the fragments. Every step takes some of them, by an index. */
async function openQueue(job: TableJob, effects: readonly Effect[]): Promise<number> {
  const { tx, queue } = job;
  const branch = (effect: Effect): string => `select s.*, '${effect}' as _tl_effect from ${job.rows(effect)}`;
  const { count } = await tx.unsafe(`
    create table ${queue} as
    select row_number() over (order by q._tl_item, q._tl_record) as _tl_place, q.*
    from (${effects.map(branch).join(" union all ")}) q
  `);
  await tx.unsafe(`create unique index on ${queue} (_tl_place)`);
  await tx.unsafe(`analyze ${queue}`);
  return count;
}

function partOf(job: TableJob, { from, to }: Range): TableJob {
  const rows = (effect: Effect): string =>
    `(select q.* from ${job.queue} q where q._tl_place between ${from} and ${to} and q._tl_effect = '${effect}') s`;
  return { ...job, rows };
}

type Meaning = { readonly code: RejectCode; readonly expected: string };

/** The meaning of each SQLSTATE, or of its class. */
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

function meaningOf({ code, constraint_name: constraint }: RowError): Meaning {
  // The server names no constraint if it finds no partition.
  if (code === "23514" && !constraint) return noPartition;
  return meanings[code] ?? meanings[code.slice(0, 2)] ?? otherConstraint;
}

/** Rejects the job's only record. The server's message may hold values, so it is stored and not logged. */
async function rejectOnly(job: TableJob, rowError: RowError): Promise<number> {
  const { code, expected } = meaningOf(rowError);
  const { column_name: column, constraint_name: constraint, message } = rowError;
  const rule = {
    code,
    field: column ?? null,
    ...(constraint ? { constraint } : {}),
    expected: `${quoteConstant(`${expected}; the server says: `)} || $1`,
    got: valuesText(job.sql.key, job.sql.typed),
    where: "true",
    parameters: [message],
  };
  const inserted = await rejectWhere(job, { ...rule, from: job.rows("insert") });
  return inserted + (await rejectWhere(job, { ...rule, from: job.rows("update") }));
}
