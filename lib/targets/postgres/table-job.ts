import type { TablePlan } from "../../core/plan.ts";
import type { RejectCode } from "../../core/rejects.ts";
import type { CommitRequest, Relation } from "../../core/target.ts";
import { qualifiedName, quoteConstant, stagingSchema, stagingTableOf } from "../../postgres/sql-names.ts";
import type { Tx } from "../../postgres/transaction.ts";
import { type Expressions, expressionsOf } from "./expressions.ts";

/** What the merge does with a record: it inserts a row or updates a stored one. */
export type Effect = "insert" | "update";

/** One table of one plan while it is judged and merged, inside the commit's transaction. */
export type TableJob = Pick<CommitRequest, "run" | "sinks" | "mayRace" | "enter"> & {
  readonly tx: Tx;
  readonly plan: TablePlan;
  /**
   * Quoted and qualified: the staging table, and four tables that exist in this transaction only. Those four are
   * logged, since the transaction may be rolled back: see `inOneMessage`.
   */
  readonly staging: string;
  readonly duplicateGroups: string;
  readonly duplicates: string;
  readonly marks: string;
  readonly queue: string;
  readonly sql: Expressions;
  /** True as soon as `marks` exists and holds rows. */
  readonly seen: { marks: boolean };
  /** A from clause with the staged rows that have this effect, under the alias `s`. */
  readonly rows: (effect: Effect) => string;
};

/** @param index place of the table in the plan */
export function tableJob(tx: Tx, request: CommitRequest, plan: TablePlan, index: number): TableJob {
  const { run, sinks, mayRace, enter } = request;
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
  const temporary = { duplicateGroups: name("duplicate_groups"), duplicates: name("duplicates"), queue: name("queue") };
  return { tx, run, plan, sinks, mayRace, enter, staging, marks, ...temporary, sql: expressionsOf(plan), seen, rows };
}

/** The reason to reject records, and the records, as SQL over the alias `s`. */
export type RejectRule = {
  readonly code: RejectCode;
  readonly field: string | null;
  readonly constraint?: string;
  /** Like `got`, an SQL expression of type text. */
  readonly expected: string;
  readonly got: string;
  /** A from clause whose alias `s` has _tl_item and _tl_record. */
  readonly from: string;
  readonly where: string;
  /** Texts for $1, $2, ... in the expressions: text from elsewhere never becomes part of a statement. */
  readonly parameters?: readonly string[];
};

/** `insert into <sink> (...) select ...`, up to the from clause; `values` are SQL expressions. */
export function insertInto<Content extends string>(
  { name, columns }: Relation<Content>,
  values: Readonly<Partial<Record<Content, string>>>,
): string {
  const given = Object.entries(values) as [Content, string][];
  const names = given.map(([content]) => columns[content]);
  return `insert into ${name} (${names.join(", ")}) select ${given.map(([, value]) => value).join(", ")}`;
}

/** Stores a reject for every staged record that the rule finds, and answers their number. */
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
export function rejectedRows({ run, plan, sinks }: TableJob): string {
  const { name, columns } = sinks.rejects;
  return `(select distinct ${columns.item} as item_id, ${columns.record} as record from ${name}
           where ${columns.plan} = ${run.planId} and ${columns.table} = ${quoteConstant(plan.table)} and ${columns.staged})`;
}

/** Columns of a row as text for a message: `volume_ml=-1, tube_type=EDTA`. */
export function valuesText(columns: readonly string[], value: (name: string) => string): string {
  const parts = columns.map((name) => `${quoteConstant(`${name}=`)} || coalesce(${value(name)}::text, 'null')`);
  return parts.join(" || ', ' || ");
}
