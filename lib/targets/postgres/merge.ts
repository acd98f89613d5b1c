import type { Column } from "../../core/catalog.ts";
import { PermanentError } from "../../core/errors.ts";
import { isImmutable } from "../../core/plan.ts";
import { quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { type Effect, insertInto, type TableJob } from "./table-job.ts";
import { keepInsertedKeys, keepOldRows } from "./undo.ts";

/** The merge: undo images, then changes and new rows in key order. Every statement works on the whole table. */

export type Merged = { readonly inserted: number; readonly updated: number };

export async function mergeTable(job: TableJob, effects: readonly Effect[]): Promise<Merged> {
  const merged = { inserted: 0, updated: 0 };
  for (const effect of inOrder(job, effects)) {
    if (effect === "update") merged.updated = await updateRows(job);
    else merged.inserted = await insertRows(job);
  }
  // What the server would look at in COMMIT only, is looked at while the record can still be named.
  await job.tx`set constraints all immediate`;
  return merged;
}

/** A change may free what a new row takes; but where rows refer to rows of their own table, new ones are parents. */
function inOrder({ plan, sql }: TableJob, effects: readonly Effect[]): Effect[] {
  const refersToItself = plan.shape.foreignKeys.some(({ parentSql }) => parentSql === sql.target);
  const order: readonly Effect[] = refersToItself ? ["insert", "update"] : ["update", "insert"];
  return order.filter((effect) => effects.includes(effect));
}

async function updateRows(job: TableJob): Promise<number> {
  const { tx, sql, plan } = job;
  if (sql.updatable.length === 0) return 0;
  const locked = await keepOldRows(job);
  const audited = plan.contract.audit_changes;
  // A second look at the row: what a statement returns of its target is the new one.
  const old = audited
    ? ` join ${sql.target} o on ${sql.key.map((name) => `o.${quoteName(name)} = ${sql.typed(name)}`).join(" and ")}`
    : "";
  const update = `
    update ${sql.target} as t set ${changesOf(job).join(", ")}
    from ${job.rows("update")}${old}
    where ${sql.sameKey}`;
  const values = `${recordId(job)} as record_id, to_jsonb(o.*) as old_values, to_jsonb(t.*) as new_values`;
  const updated = audited
    ? await writeAudited(job, "UPDATE", `${update} returning ${values}`)
    : (await tx.unsafe(update)).count;
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

/** The time of the update, unless the contract lets the record bring its own. */
function stampValue({ sql }: TableJob, { name, type }: Column): string {
  const now = `now()::${type.sql}`;
  const isWritten = sql.updatable.some((column) => column.name === name);
  return isWritten ? `case when ${sql.absent(name)} then ${now} else ${sql.typed(name)} end` : now;
}

async function insertRows(job: TableJob): Promise<number> {
  const { tx, sql, plan } = job;
  const columns = sql.staged.map(({ column }) => column);
  const insert = `
    insert into ${sql.target} as t (${columns.map(({ name }) => quoteName(name)).join(", ")})
    select ${columns.map((column) => sql.inserted(column)).join(", ")}
    from ${job.rows("insert")}
    order by ${sql.key.map((name) => sql.typed(name)).join(", ")}`;
  const values = `${recordId(job)} as record_id, null::jsonb as old_values, to_jsonb(t.*) as new_values`;
  const count = plan.contract.audit_changes
    ? await writeAudited(job, "INSERT", `${insert} returning ${values}`)
    : (await tx.unsafe(insert)).count;
  await keepInsertedKeys(job);
  return count;
}

function recordId({ sql }: TableJob): string {
  return sql.key.map((name) => `t.${quoteName(name)}::text`).join(" || '|' || ");
}

/** Runs the statement with a row in the audit for every row that it returns, and answers their number. */
async function writeAudited(job: TableJob, operation: string, statement: string): Promise<number> {
  const { tx, run, plan, sinks } = job;
  const insert = insertInto(sinks.audit, {
    table: quoteConstant(plan.table),
    operation: `'${operation}'`,
    record: "c.record_id",
    oldValues: "c.old_values",
    newValues: "c.new_values",
    batch: "$1",
  });
  const { count } = await tx.unsafe(`with changed as (${statement}) ${insert} from changed c`, [run.batchId]);
  return count;
}
