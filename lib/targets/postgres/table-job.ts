import type { TablePlan } from "../../core/plan.ts";
import type { RejectCode } from "../../core/rejects.ts";
import type { Run } from "../../core/run.ts";
import type { CommitRequest, Relation, Sinks } from "../../core/target.ts";
import { qualifiedName, quoteConstant, stagingSchema, stagingTableOf } from "../../postgres/sql-names.ts";
import type { Tx } from "../../postgres/transaction.ts";
import { type Expressions, expressionsOf } from "./expressions.ts";

/** What is written of a record: a new row, or a change of a stored one. */
export type Effect = "insert" | "update";

/** One table of one plan while it is judged and merged, inside the commit's transaction. */
export type TableJob = {
  readonly tx: Tx;
  readonly run: Run;
  readonly plan: TablePlan;
  /**
   * Quoted and qualified: the staging table, and tables that live in this transaction only. These are logged, as it may be
   * rolled back: see `inOneMessage`.
   */
  readonly staging: string;
  readonly duplicateGroups: string;
  readonly duplicates: string;
  readonly marks: string;
  readonly queue: string;
  readonly sql: Expressions;
  /** True while a duplicate key may come from a load beside this one, which another look would see. */
  readonly mayRace: boolean;
  readonly enter: CommitRequest["enter"];
  readonly sinks: Sinks;
  /** Whether there are marks by now. */
  readonly seen: { marks: boolean };
  /** The staged rows with this effect, as something to select from, with the alias `s`. */
  readonly rows: (effect: Effect) => string;
};

type JobPlace = Pick<TableJob, "run" | "plan" | "sinks" | "mayRace" | "enter"> & { readonly index: number };

export function tableJob(tx: Tx, { run, plan, sinks, mayRace, enter, index }: JobPlace): TableJob {
  const name = (suffix: string): string => qualifiedName(stagingSchema, `p${run.planId}_${index}_${suffix}`);
  const staging = stagingTableOf(run.planId, index);
  const marks = name("marks");
  const seen = { marks: false };
  const rows = (effect: Effect): string => {
    if (effect === "update") {
      return `${marks} v join ${staging} s on v.verdict = 'update' and s._tl_item = v.item and s._tl_record = v.record`;
    }
    if (!seen.marks) return `${staging} s`;
    return `(select s.* from ${staging} s
      where not exists (select from ${marks} v where v.item = s._tl_item and v.record = s._tl_record)) s`;
  };
  const own = { staging, duplicateGroups: name("families"), duplicates: name("twins"), marks, queue: name("queue") };
  return { tx, run, plan, sinks, mayRace, enter, ...own, sql: expressionsOf(plan), seen, rows };
}

/** Room for the hashes of a million records: on disk they take half as long again. */
export const hashMemory = { work_mem: "64MB" };

/** Runs `work` under other settings of the planner; an error ends the transaction, and them with it. */
export async function withSettings<T>(
  { tx }: Pick<TableJob, "tx">,
  planner: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<T> {
  const names = Object.keys(planner);
  await tx.unsafe(names.map((name) => `set local ${name} = '${planner[name]}'`).join("; "));
  const result = await work();
  await tx.unsafe(names.map((name) => `set local ${name} to default`).join("; "));
  return result;
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
  /** Texts for $1, $2, ... in the expressions: what is not ours never becomes part of a statement. */
  readonly parameters?: readonly string[];
};

/**
 * `insert into <sink> (...) select ...`: the values by what they are, as SQL.
 */
export function insertInto<Content extends string>(
  { name, columns }: Relation<Content>,
  values: Readonly<Partial<Record<Content, string>>>,
): string {
  const given = Object.entries(values) as [Content, string][];
  const names = given.map(([content]) => columns[content]);
  return `insert into ${name} (${names.join(", ")}) select ${given.map(([, value]) => value).join(", ")}`;
}

/** Stores a reject for every staged record that the rule finds. */
export async function rejectWhere({ tx, run, plan, sinks }: TableJob, rule: RejectRule): Promise<number> {
  const text = (value: string | null): string => (value === null ? "null" : quoteConstant(value));
  const { items } = sinks;
  const parameters = rule.parameters ?? [];
  const insert = insertInto(sinks.rejects, {
    batch: `$${parameters.length + 1}`,
    epoch: String(run.epoch),
    plan: String(run.planId),
    item: "s._tl_item",
    table: text(plan.table),
    key: `i.${items.columns.key}`,
    record: "s._tl_record",
    field: text(rule.field),
    code: text(rule.code),
    expected: rule.expected,
    got: `left(${rule.got}, 500)`,
    constraint: text(rule.constraint ?? null),
    staged: "true",
  });
  const stored = await tx.unsafe(
    `${insert} from ${rule.from} join ${items.name} i on i.${items.columns.item} = s._tl_item where ${rule.where}`,
    [...parameters, run.batchId],
  );
  return stored.count;
}

/** The staged records of this table that were rejected so far, for a join on (item_id, record). */
export function rejectedRows({ run, plan, sinks }: Pick<TableJob, "run" | "plan" | "sinks">): string {
  const { name, columns } = sinks.rejects;
  return `(select distinct ${columns.item} as item_id, ${columns.record} as record from ${name}
           where ${columns.plan} = ${run.planId} and ${columns.table} = ${quoteConstant(plan.table)} and ${columns.staged})`;
}

/** The natural key of a row as text, for messages. */
export function keyText({ sql }: Pick<TableJob, "sql">, value: (name: string) => string): string {
  const parts = sql.key.map((name) => `${quoteConstant(`${name}=`)} || coalesce(${value(name)}::text, 'null')`);
  return parts.join(" || ', ' || ");
}
