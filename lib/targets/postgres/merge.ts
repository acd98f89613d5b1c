import type { Column } from "../../core/catalog.ts";
import { sqlStateOf } from "../../core/classify-error.ts";
import { PermanentError } from "../../core/errors.ts";
import { isImmutable } from "../../core/plan.ts";
import { quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { type Effect, insertInto, type TableJob } from "./table-job.ts";
import { keepInsertedKeys, keepOldRows } from "./undo.ts";

/** The merge: undo images, then updates and new rows in key order. Every statement works on the whole table. */

export type Merged = { readonly inserted: number; readonly updated: number };

/** Merges all rows; none of them if the server raises an error about some, which is answered. */
export async function tryMerge(job: TableJob, effects: readonly Effect[]): Promise<Merged | { rowError: RowError }> {
  const { tx } = job;
  await tx`savepoint before_merge`;
  try {
    const merged = await mergeTable(job, effects);
    await tx`release savepoint before_merge`;
    return merged;
  } catch (error) {
    if (!isRowError(error, job.mayRace)) throw error;
    await tx`rollback to savepoint before_merge`;
    return { rowError: error };
  }
}

/** The server's error about some of the rows; if only one was merged, the error is about that row. */
export type RowError = {
  readonly code: string;
  readonly message: string;
  readonly column_name?: string;
  readonly constraint_name?: string;
};

/** Data exceptions, constraints, check options, limits of a row or an index, and errors that triggers raise. */
const rowErrors = /^(22|23|44|54|P0)/;
const uniqueViolation = "23505";

/**
 * Whether an error is about the rows and not about the server. A commit that may race with another load treats a
 * duplicate key as an error instead: when it is tried again, the judge sees the other load's row.
 */
function isRowError(error: unknown, mayRace: boolean): error is RowError {
  const state = sqlStateOf(error);
  return state !== null && rowErrors.test(state) && !(mayRace && state === uniqueViolation);
}

async function mergeTable(job: TableJob, effects: readonly Effect[]): Promise<Merged> {
  const merged = { inserted: 0, updated: 0 };
  for (const effect of inOrder(job, effects)) {
    if (effect === "update") merged.updated = await updateRows(job);
    else merged.inserted = await insertRows(job);
  }
  // Deferred constraints are checked now, while the record can still be named, and not in COMMIT.
  await job.tx`set constraints all immediate`;
  return merged;
}

/** An update may free a key that a new row takes; but if a table refers to itself, new rows are parents. */
function inOrder({ plan, sql }: TableJob, effects: readonly Effect[]): Effect[] {
  const refersToItself = plan.shape.foreignKeys.some(({ parentSql }) => parentSql === sql.target);
  const order: readonly Effect[] = refersToItself ? ["insert", "update"] : ["update", "insert"];
  return order.filter((effect) => effects.includes(effect));
}

async function updateRows(job: TableJob): Promise<number> {
  const { sql, plan } = job;
  if (sql.updatable.length === 0) return 0;
  const locked = await keepOldRows(job);
  // The row is joined once more, because a statement returns only the new values of its target.
  const old = plan.contract.audit_changes
    ? ` join ${sql.target} o on ${sql.key.map((name) => `o.${quoteName(name)} = ${sql.typed(name)}`).join(" and ")}`
    : "";
  const update = `
    update ${sql.target} as t set ${changesOf(job).join(", ")}
    from ${job.rows("update")}${old}
    where ${sql.sameKey}`;
  const updated = await writeRows(job, "UPDATE", update, "to_jsonb(o.*)");
  if (locked === updated) return updated;
  const text = `table ${plan.table}: ${locked} rows were to be updated and ${updated} were; a trigger or rule drops rows`;
  throw new PermanentError("BALANCE_BROKEN", text);
}

function changesOf(job: TableJob): string[] {
  const { sql, plan } = job;
  const stamp = plan.shape.columns.find(isUpdateStamp);
  const changes = sql.updatable
    .filter(({ name }) => name !== stamp?.name)
    .map((column) => `${quoteName(column.name)} = ${sql.updated(column)}`);
  if (stamp && !isImmutable(plan, stamp.name)) changes.push(`${quoteName(stamp.name)} = ${stampValue(job, stamp)}`);
  return changes;
}

const stampTypes = new Set(["timestamptz", "timestamp", "date"]);

function isUpdateStamp({ name, type, generated }: Column): boolean {
  return name === "updated_at" && stampTypes.has(type.name) && !generated;
}

/** The time of the update, unless the contract lets the record carry its own. */
function stampValue({ sql }: TableJob, { name, type }: Column): string {
  const now = `now()::${type.sql}`;
  const isWritten = sql.updatable.some((column) => column.name === name);
  return isWritten ? `case when ${sql.absent(name)} then ${now} else ${sql.typed(name)} end` : now;
}

async function insertRows(job: TableJob): Promise<number> {
  const { sql } = job;
  const columns = sql.staged.map(({ column }) => column);
  const insert = `
    insert into ${sql.target} as t (${columns.map(({ name }) => quoteName(name)).join(", ")})
    select ${columns.map((column) => sql.inserted(column)).join(", ")}
    from ${job.rows("insert")}
    order by ${sql.key.map((name) => sql.typed(name)).join(", ")}`;
  const count = await writeRows(job, "INSERT", insert, "null::jsonb");
  await keepInsertedKeys(job);
  return count;
}

/** Runs the statement, with an audit row for every row if the contract audits changes. Answers the number of rows. */
async function writeRows(job: TableJob, operation: string, statement: string, oldValues: string): Promise<number> {
  const { tx, run, sql, plan, sinks } = job;
  if (!plan.contract.audit_changes) return (await tx.unsafe(statement)).count;
  const recordId = sql.key.map((name) => `t.${quoteName(name)}::text`).join(" || '|' || ");
  const values = `${recordId} as record_id, ${oldValues} as old_values, to_jsonb(t.*) as new_values`;
  const insert = insertInto(sinks.audit, {
    table: quoteConstant(plan.table),
    operation: `'${operation}'`,
    record: "c.record_id",
    oldValues: "c.old_values",
    newValues: "c.new_values",
    batch: "$1",
  });
  const changed = `${statement} returning ${values}`;
  return (await tx.unsafe(`with changed as (${changed}) ${insert} from changed c`, [run.batchId])).count;
}
