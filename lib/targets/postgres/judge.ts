import type postgres from "postgres";
import { PermanentError } from "../../core/errors.ts";
import { sqlStateOf } from "../../core/faults.ts";
import type { TablePlan } from "../../core/plan.ts";
import type { Plan, TableOutcome, WorkItem } from "../../core/ports.ts";
import { accountedFor, noCounts, type RecordCounts } from "../../core/report.ts";
import type { Run } from "../../core/run.ts";
import { quoteName } from "../../core/sql-names.ts";
import { judgeConstraints } from "./judge-constraints.ts";
import { judgeRecords, type Verdict } from "./judge-records.ts";
import { mergeTable } from "./merge.ts";
import { type TableJob, tableJob } from "./table-job.ts";

type Tx = postgres.ReservedSql;

export type Judging = { readonly run: Run; readonly plan: Plan; readonly items: readonly WorkItem[] };

/** Locks the targets that no unique index guards, in the order of their names, before the transaction's first look. */
export async function lockTargets(tx: Tx, plan: Plan): Promise<void> {
  const open = plan.body.tables.filter(({ guarded }) => !guarded).toSorted((a, b) => (a.table < b.table ? -1 : 1));
  for (const { shape, table } of open) {
    await tx.unsafe(`lock table ${quoteName(shape.schema)}.${quoteName(table)} in share row exclusive mode`);
  }
}

/**
 * Judges and merges every table of the plan, parents first. Rejected records are left out and stored as rejects of the
 * plan; the caller rolls back if there are any.
 *
 * @throws PermanentError BALANCE_BROKEN where records read and records accounted for differ
 */
export async function judgeTables(tx: Tx, { run, plan, items }: Judging): Promise<TableOutcome[]> {
  const outcomes: TableOutcome[] = [];
  for (const [index, table] of plan.body.tables.entries()) {
    const job = tableJob(tx, { run, plan: table, index });
    outcomes.push(await judgeTable(job, itemsOf(items, table), plan.kind === "preview").catch(nameTable(table)));
  }
  return outcomes;
}

/** The server does not say in which table a trigger raised; the name is put where it puts that of a constraint. */
function nameTable({ table }: TablePlan): (error: unknown) => never {
  return (error) => {
    if (sqlStateOf(error) === null || !(error instanceof Error)) throw error;
    throw Object.assign(error, { table_name: (error as { table_name?: string }).table_name ?? table });
  };
}

const itemsOf = (items: readonly WorkItem[], { table }: TablePlan): WorkItem[] =>
  items.filter((item) => item.table === table && item.kind === "fragment");

async function judgeTable(job: TableJob, items: readonly WorkItem[], isPreview: boolean): Promise<TableOutcome> {
  const started = performance.now();
  await judgeRecords(job);
  await judgeConstraints(job);
  const verdicts = await countVerdicts(job);
  const changedFields = isPreview ? await countChangedFields(job) : {};
  const sample = isPreview ? await sampleRecord(job) : null;
  const { inserted, updated, immutableAttempts } = await mergeTable(job);
  const read = items.reduce((sum, item) => sum + item.records, 0);
  const lexical = items.reduce((sum, item) => sum + item.rejected, 0);
  const counts: RecordCounts = {
    ...noCounts,
    records_read: read,
    records_loaded: inserted,
    records_updated: updated,
    records_unchanged: verdicts("unchanged"),
    records_skipped: verdicts("skipped"),
    records_collapsed: verdicts("collapsed"),
    records_failed: lexical + verdicts("rejected"),
  };
  if (accountedFor(counts) !== read) {
    const text = `table ${job.plan.table}: ${read} records were read and ${accountedFor(counts)} are accounted for; a trigger or rule drops rows`;
    throw new PermanentError("BALANCE_BROKEN", text);
  }
  await job.tx.unsafe(`drop table ${job.twins}, ${job.verdicts}`);
  const seconds = (performance.now() - started) / 1000;
  return { table: job.plan.table, counts, seconds, immutableAttempts, changedFields, sample };
}

async function countVerdicts({ tx, verdicts }: TableJob): Promise<(verdict: Verdict) => number> {
  const rows = await tx.unsafe<{ verdict: Verdict; records: number }[]>(
    `select verdict, count(*) as records from ${verdicts} group by verdict`,
  );
  const counts = new Map(rows.map(({ verdict, records }) => [verdict, records]));
  return (verdict) => counts.get(verdict) ?? 0;
}

async function countChangedFields({ tx, sql, verdicts, staging }: TableJob): Promise<Record<string, number>> {
  if (sql.updatable.length === 0) return {};
  const counts = sql.updatable.map(
    (column, index) =>
      `count(*) filter (where (${sql.updated(column)})::text is distinct from t.${quoteName(column.name)}::text) as c${index}`,
  );
  const [row] = await tx.unsafe<Record<string, number>[]>(`
    select ${counts.join(", ")}
    from ${verdicts} v
    join ${staging} s on s._tl_item = v.item and s._tl_record = v.record
    join ${sql.target} t on ${sql.sameKey}
    where v.verdict = 'update'
  `);
  const changed = sql.updatable.map(({ name }, index): [string, number] => [name, row?.[`c${index}`] ?? 0]);
  return Object.fromEntries(changed.filter(([, count]) => count > 0));
}

async function sampleRecord({ tx, staging, sql }: TableJob): Promise<Record<string, unknown> | null> {
  // As text: JSON numbers would be rounded on the way.
  const columns = sql.staged.map(({ column }) => `s.${quoteName(column.name)}::text`).join(", ");
  const [row] = await tx.unsafe<{ sample: string }[]>(`
    select row_to_json(r)::text as sample
    from (select ${columns} from ${staging} s order by s._tl_item, s._tl_record limit 1) r
  `);
  return row ? (JSON.parse(row.sample) as Record<string, unknown>) : null;
}
