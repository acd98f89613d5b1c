import type { Reject } from "../core/rejects.ts";
import type { Run } from "../core/run.ts";
import type { Tx } from "../postgres/transaction.ts";

type NewRejects = {
  readonly rejects: readonly Reject[];
  /** Null for rejects of the attempt. */
  readonly itemId: number | null;
};

/** Stores rejects of an item of the plan, or those of an attempt, which outlive the plan. */
export async function insertRejects(tx: Tx, run: Run, { rejects, itemId }: NewRejects): Promise<void> {
  if (rejects.length === 0) return;
  const rows = rejects.map(({ table, constraint, raw, ...reject }) => ({
    ...reject,
    table_name: table,
    constraint_name: constraint,
    // A text column cannot hold NUL, so that the record's text shows it as a JSON escape.
    raw: raw?.replaceAll("\u0000", "\\u0000") ?? null,
  }));
  const ofPlan = itemId !== null;
  await tx`
    insert into table_loader.rejects
      (batch_id, epoch, plan_id, attempt, item_id, table_name, key, record, field, code, expected, got,
       constraint_name, raw)
    select ${run.batchId}, ${run.epoch}, ${ofPlan ? run.planId : null}::bigint, ${ofPlan ? null : run.attempt}::integer,
           ${itemId}::bigint, r.table_name, r.key, r.record, r.field, r.code, r.expected, r.got, r.constraint_name, r.raw
    from json_to_recordset(${JSON.stringify(rows)}::text::json) as r(
      table_name text, key text, record bigint, field text, code text, expected text, got text,
      constraint_name text, raw text)
  `;
}

const columns = (tx: Tx) => tx`
  key, record, field, code, expected, got, raw, table_name as "table", constraint_name as "constraint"
`;

/** Rejects of a plan, in the order of tables, fragments and records. */
export async function rejectsOfPlan(tx: Tx, planId: number, limit: number): Promise<Reject[]> {
  const rows = await tx<Reject[]>`
    select ${columns(tx)} from table_loader.rejects where plan_id = ${planId}
    order by table_name, key, record, reject_id limit ${limit}
  `;
  return [...rows];
}

export async function rejectsOfAttempt(tx: Tx, run: Run, limit: number): Promise<Reject[]> {
  const rows = await tx<Reject[]>`
    select ${columns(tx)} from table_loader.rejects
    where batch_id = ${run.batchId} and epoch = ${run.epoch} and attempt = ${run.attempt}
    order by table_name, key, record, reject_id limit ${limit}
  `;
  return [...rows];
}
