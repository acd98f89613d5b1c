import type { Column } from "../../core/catalog.ts";
import { PermanentError } from "../../core/errors.ts";
import { isImmutable } from "../../core/plan.ts";
import { quoteConstant, quoteName } from "../../core/sql-names.ts";
import type { TableJob } from "./table-job.ts";

/** The merge: undo images, then new rows in key order, then changes. Every statement works on the whole table. */

export type Merged = {
  readonly inserted: number;
  readonly updated: number;
  readonly immutableAttempts: Readonly<Record<string, number>>;
};

export async function mergeTable(job: TableJob): Promise<Merged> {
  const immutableAttempts = await countImmutableAttempts(job);
  const locked = await keepUndoImages(job);
  const updated = await updateRows(job);
  const inserted = await insertRows(job);
  if (locked !== updated) {
    const text = `table ${job.plan.table}: ${locked} rows were to be updated and ${updated} were; a trigger or rule drops rows`;
    throw new PermanentError("BALANCE_BROKEN", text);
  }
  if (job.plan.contract.audit_changes) await auditChanges(job);
  return { inserted, updated, immutableAttempts };
}

/** The staged rows of one verdict, as `s` with `v`. */
function rowsWith({ verdicts, staging }: TableJob, verdict: string): string {
  return `${verdicts} v join ${staging} s on v.verdict = '${verdict}' and s._tl_item = v.item and s._tl_record = v.record`;
}

function keyJson({ sql }: TableJob, alias: string): string {
  return `jsonb_build_object(${sql.key.map((name) => `${quoteConstant(name)}, ${alias}.${quoteName(name)}`).join(", ")})`;
}

async function countImmutableAttempts(job: TableJob): Promise<Record<string, number>> {
  const { tx, sql, plan, verdicts, staging } = job;
  const columns = sql.staged
    .map(({ column }) => column)
    .filter(({ name }) => isImmutable(plan, name) && !sql.key.includes(name));
  if (columns.length === 0) return {};
  const counts = columns.map(
    ({ name }, index) =>
      `count(*) filter (where ${sql.typed(name)} is not null and ${sql.typed(name)}::text is distinct from t.${quoteName(name)}::text) as c${index}`,
  );
  const [row] = await tx.unsafe<Record<string, number>[]>(`
    select ${counts.join(", ")}
    from ${verdicts} v
    join ${staging} s on s._tl_item = v.item and s._tl_record = v.record
    join ${sql.target} t on ${sql.sameKey}
    where v.verdict in ('update', 'unchanged')
  `);
  const attempts = columns.map(({ name }, index): [string, number] => [name, row?.[`c${index}`] ?? 0]);
  return Object.fromEntries(attempts.filter(([, count]) => count > 0));
}

/** Locks the rows to change, in key order, and keeps what they were. */
async function keepUndoImages(job: TableJob): Promise<number> {
  const { tx, sql, run, plan } = job;
  const kept = await tx.unsafe(`
    with locked as (
      select t.*
      from ${rowsWith(job, "update")}
      join ${sql.target} t on ${sql.sameKey}
      order by ${sql.key.map((name) => `t.${quoteName(name)}`).join(", ")}
      for no key update of t
    )
    insert into table_loader.undo_images (batch_id, epoch, table_name, operation, row_key, old_row)
    select p.batch_id, p.epoch, ${quoteConstant(plan.table)}, 'update', ${keyJson(job, "l")}, row_to_json(l)
    from locked l, table_loader.plans p
    where p.plan_id = ${run.planId}
  `);
  return kept.count;
}

async function updateRows(job: TableJob): Promise<number> {
  const { tx, sql, plan } = job;
  if (sql.updatable.length === 0) return 0;
  const stamp = plan.shape.columns.find(isUpdateStamp);
  const changes = sql.updatable
    .filter(({ name }) => name !== stamp?.name)
    .map((column) => `${quoteName(column.name)} = ${sql.updated(column)}`);
  if (stamp && !isImmutable(plan, stamp.name)) changes.push(`${quoteName(stamp.name)} = ${stampValue(job, stamp)}`);
  const updated = await tx.unsafe(`
    update ${sql.target} as t set ${changes.join(", ")}
    from ${rowsWith(job, "update")}
    where ${sql.sameKey}
  `);
  return updated.count;
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
  const { tx, sql, run, plan } = job;
  const columns = sql.staged.map(({ column }) => column);
  const inserted = await tx.unsafe(`
    insert into ${sql.target} (${columns.map(({ name }) => quoteName(name)).join(", ")})
    select ${columns.map((column) => sql.inserted(column)).join(", ")}
    from ${rowsWith(job, "insert")}
    order by ${sql.key.map((name) => sql.typed(name)).join(", ")}
  `);
  const keys = sql.key.map((name) => `${quoteConstant(name)}, ${sql.typed(name)}`).join(", ");
  await tx.unsafe(`
    insert into table_loader.undo_images (batch_id, epoch, table_name, operation, row_key)
    select p.batch_id, p.epoch, ${quoteConstant(plan.table)}, 'insert', jsonb_build_object(${keys})
    from ${rowsWith(job, "insert")}, table_loader.plans p
    where p.plan_id = ${run.planId}
  `);
  return inserted.count;
}

/** A row in audit_log for every row that was inserted or changed. */
async function auditChanges(job: TableJob): Promise<void> {
  const { tx, sql, run, plan } = job;
  const recordId = sql.key.map((name) => `t.${quoteName(name)}::text`).join(" || '|' || ");
  const oldKey = sql.key
    .map((name) => `u.old_row->>${quoteConstant(name)} = row_to_json(t)->>${quoteConstant(name)}`)
    .join(" and ");
  const columns = "(table_name, operation, record_id, old_values, new_values, batch_id)";
  await tx.unsafe(`
    insert into public.audit_log ${columns}
    select ${quoteConstant(plan.table)}, 'UPDATE', ${recordId}, u.old_row::jsonb, to_jsonb(t), u.batch_id
    from ${rowsWith(job, "update")}
    join ${sql.target} t on ${sql.sameKey}
    join table_loader.plans p on p.plan_id = ${run.planId}
    join table_loader.undo_images u on u.batch_id = p.batch_id and u.epoch = p.epoch
      and u.table_name = ${quoteConstant(plan.table)} and u.operation = 'update' and ${oldKey}
  `);
  await tx.unsafe(`
    insert into public.audit_log ${columns}
    select ${quoteConstant(plan.table)}, 'INSERT', ${recordId}, null, to_jsonb(t), p.batch_id
    from ${rowsWith(job, "insert")}
    join ${sql.target} t on ${sql.sameKey}
    join table_loader.plans p on p.plan_id = ${run.planId}
  `);
}
