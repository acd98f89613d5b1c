import type postgres from "postgres";
import type { TablePlan } from "../../core/plan.ts";
import type { RejectCode } from "../../core/rejects.ts";
import type { Run } from "../../core/run.ts";
import { qualifiedName, quoteConstant, stagingSchema, stagingTableOf } from "../../core/sql-names.ts";
import { type Expressions, expressionsOf } from "./expressions.ts";

/** One table of one plan while it is judged and merged, inside the commit's transaction. */
export type TableJob = {
  readonly tx: postgres.ReservedSql;
  readonly run: Run;
  readonly plan: TablePlan;
  /** Quoted and qualified: the staging table, and the tables of twins and verdicts that live in this transaction. */
  readonly staging: string;
  readonly twins: string;
  readonly verdicts: string;
  readonly sql: Expressions;
};

export type JobPlace = { readonly run: Run; readonly plan: TablePlan; readonly index: number };

export function tableJob(tx: postgres.ReservedSql, { run, plan, index }: JobPlace): TableJob {
  const name = (suffix: string): string => qualifiedName(stagingSchema, `p${run.planId}_${index}_${suffix}`);
  return {
    tx,
    run,
    plan,
    staging: stagingTableOf(run.planId, index),
    twins: name("twins"),
    verdicts: name("verdicts"),
    sql: expressionsOf(plan),
  };
}

/** Why records are rejected, as SQL over the alias `s`; the texts are constants or expressions. */
export type RejectRule = {
  readonly code: RejectCode;
  readonly field: string | null;
  readonly constraint?: string;
  /** SQL expressions of type text. */
  readonly expected: string;
  readonly got: string;
  /** The rows: `from` with an alias `s` that has _tl_item and _tl_record, and the condition. */
  readonly from: string;
  readonly where: string;
};

/** Stores a reject for every staged record that the rule finds. */
export async function rejectWhere({ tx, run, plan }: TableJob, rule: RejectRule): Promise<number> {
  const text = (value: string | null): string => (value === null ? "null" : quoteConstant(value));
  const stored = await tx.unsafe(`
    insert into table_loader.rejects
      (batch_id, epoch, plan_id, item_id, table_name, key, record, field, code, expected, got, constraint_name)
    select i.batch_id, i.epoch, i.plan_id, s._tl_item, ${text(plan.table)}, i.key, s._tl_record, ${text(rule.field)},
           ${text(rule.code)}, ${rule.expected}, left(${rule.got}, 500), ${text(rule.constraint ?? null)}
    from ${rule.from}
    join (select w.item_id, w.key, p.batch_id, p.epoch, p.plan_id
          from table_loader.work_items w join table_loader.plans p using (plan_id)
          where p.plan_id = ${run.planId}) i on i.item_id = s._tl_item
    where ${rule.where}
  `);
  return stored.count;
}

/** The rejects of this table so far, for a join on (item_id, record). */
export function rejectedRows({ run, plan }: TableJob): string {
  return `(select distinct item_id, record from table_loader.rejects
           where plan_id = ${run.planId} and table_name = ${quoteConstant(plan.table)} and item_id is not null)`;
}
