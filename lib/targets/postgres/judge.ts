import type { Column } from "../../core/catalog.ts";
import { sqlStateOf } from "../../core/classify-error.ts";
import { PermanentError } from "../../core/errors.ts";
import { kinds } from "../../core/kinds.ts";
import type { Plan, TablePlan } from "../../core/plan.ts";
import { accountedFor, noCounts, type RecordCounts } from "../../core/report.ts";
import type { CommitRequest, TableOutcome } from "../../core/target.ts";
import type { WorkItem } from "../../core/work-item.ts";
import { qualifiedName, quoteName } from "../../postgres/sql-names.ts";
import type { Tx } from "../../postgres/transaction.ts";
import { type Isolated, isolate } from "./isolate.ts";
import { judgeConstraints } from "./judge-constraints.ts";
import { countRejected, judgeRecords, type Verdicts } from "./judge-records.ts";
import { tryMerge } from "./merge.ts";
import { stagedItems } from "./staging.ts";
import { type Effect, type TableJob, tableJob } from "./table-job.ts";

/**
 * Locks every table that is read or written, in the order of their names, before the transaction takes its snapshot, in
 * which a table rewritten later would look empty. A lock waits for a change of the table's structure that is under way,
 * and admits none until the end. A target without a unique index on its natural key is locked against other writers.
 */
export async function lockTargets(tx: Tx, plan: Plan): Promise<void> {
  const { tables } = plan.body;
  const parents = tables.flatMap(({ shape }) => shape.foreignKeys.map(({ parentSql }) => parentSql));
  const locks = new Map(parents.map((name) => [name, `only ${name} in access share mode`]));
  for (const { shape, table, guarded } of tables) {
    const name = qualifiedName(shape.schema, table);
    locks.set(name, guarded ? `only ${name} in row exclusive mode` : `${name} in share row exclusive mode`);
  }
  for (const [, lock] of [...locks].toSorted(([a], [b]) => (a < b ? -1 : 1))) await tx.unsafe(`lock table ${lock}`);
}

/**
 * Judges and merges every table of the plan, parents first. Rejected records are left out and stored as rejects of the
 * plan; the caller rolls back if there are any.
 *
 * @throws PermanentError BALANCE_BROKEN if the numbers of records read and of records accounted for differ
 */
export async function judgeTables(tx: Tx, request: CommitRequest): Promise<TableOutcome[]> {
  const { plan, items } = request;
  const isPreview = kinds[plan.kind].report === "preview";
  const outcomes: TableOutcome[] = [];
  for (const [index, table] of plan.body.tables.entries()) {
    const job = tableJob(tx, request, table, index);
    outcomes.push(await judgeTable(job, stagedItems(items, table), isPreview).catch(nameTable(table)));
  }
  return outcomes;
}

/** Adds the table's name to an error that lacks it, such as a trigger's, as the server does for a constraint's. */
function nameTable({ table }: TablePlan): (error: unknown) => never {
  return (error) => {
    if (sqlStateOf(error) === null || !(error instanceof Error)) throw error;
    throw Object.assign(error, { table_name: (error as { table_name?: string }).table_name ?? table });
  };
}

async function judgeTable(job: TableJob, items: readonly WorkItem[], isPreview: boolean): Promise<TableOutcome> {
  const started = performance.now();
  job.enter(`judge ${job.plan.table}`);
  const staged = sumOf(items, ({ records, rejected }) => records - rejected);
  const verdicts = await judgeRecords(job, staged);
  const effects = effectsOf(verdicts);
  if (effects.length > 0) await judgeConstraints(job, effects);
  const immutableAttempts = await countImmutableAttempts(job, verdicts);
  const changedFields = isPreview && verdicts.count("update") > 0 ? await countChangedFields(job) : {};
  const sample = isPreview ? await sampleRecord(job) : null;
  job.enter(`merge ${job.plan.table}`);
  const merged = effects.length > 0 ? await mergeAccepted(job, effects) : { inserted: 0, updated: 0, unjudged: 0 };
  const counts = await accountFor(job, items, verdicts, merged);
  await job.tx.unsafe(`drop table if exists ${job.duplicateGroups}, ${job.duplicates}, ${job.marks}`);
  const seconds = (performance.now() - started) / 1000;
  return {
    table: job.plan.table,
    counts,
    unjudged: merged.unjudged,
    seconds,
    immutableAttempts,
    changedFields,
    sample,
  };
}

const sumOf = (items: readonly WorkItem[], countOf: (item: WorkItem) => number): number =>
  items.reduce((sum, item) => sum + countOf(item), 0);

/** The effects that any record has. A record without a mark becomes a new row. */
function effectsOf({ count, inserts }: Verdicts): Effect[] {
  return [...(count("update") > 0 ? ["update" as const] : []), ...(inserts > 0 ? ["insert" as const] : [])];
}

/** Merges all rows, or those that the server takes: the others are rejected one by one. */
async function mergeAccepted(job: TableJob, effects: readonly Effect[]): Promise<Isolated> {
  const outcome = await tryMerge(job, effects);
  return "rowError" in outcome ? isolate(job, effects) : { ...outcome, unjudged: 0 };
}

/** Checks the balance: every record that the reader counted was written by the server, passed over or rejected. */
async function accountFor(
  job: TableJob,
  items: readonly WorkItem[],
  verdicts: Verdicts,
  merged: Isolated,
): Promise<RecordCounts> {
  const read = sumOf(items, ({ records }) => records);
  const counts: RecordCounts = {
    ...noCounts,
    records_read: read,
    records_loaded: merged.inserted,
    records_updated: merged.updated,
    records_unchanged: verdicts.count("unchanged"),
    records_skipped: verdicts.count("skipped"),
    records_collapsed: verdicts.count("collapsed"),
    records_failed: sumOf(items, ({ rejected }) => rejected) + (await countRejected(job)),
  };
  const accounted = accountedFor(counts) + merged.unjudged;
  if (accounted === read) return counts;
  const text = `table ${job.plan.table}: ${read} records were read and ${accounted} are accounted for; a trigger or rule drops rows`;
  throw new PermanentError("BALANCE_BROKEN", text);
}

async function countImmutableAttempts(job: TableJob, verdicts: Verdicts): Promise<Record<string, number>> {
  const { sql, marks, staging } = job;
  if (verdicts.count("update") + verdicts.count("unchanged") === 0) return {};
  const from = `${marks} v
      join ${staging} s
        on v.verdict in ('update', 'unchanged') and s._tl_item = v.item and s._tl_record = v.record`;
  const differs = ({ name }: Column): string => `${sql.typed(name)} is not null and ${isOther(sql.typed(name), name)}`;
  return countByColumn(job, sql.immutable, from, differs);
}

function countChangedFields(job: TableJob): Promise<Record<string, number>> {
  const differs = (column: Column): string => isOther(`(${job.sql.updated(column)})`, column.name);
  return countByColumn(job, job.sql.updatable, job.rows("update"), differs);
}

const isOther = (value: string, name: string): string => `${value}::text is distinct from t.${quoteName(name)}::text`;

/**
 * Counts for each column the rows in which it differs from the stored row; columns that differ in none are left out.
 *
 * @param from the staged rows, with the alias `s`
 * @param differs a condition over `s` and the stored row `t`
 */
async function countByColumn(
  { tx, sql }: TableJob,
  columns: readonly Column[],
  from: string,
  differs: (column: Column) => string,
): Promise<Record<string, number>> {
  if (columns.length === 0) return {};
  const counts = columns.map((column, index) => `count(*) filter (where ${differs(column)}) as c${index}`);
  const [row] = await tx.unsafe<Record<string, number>[]>(
    `select ${counts.join(", ")} from ${from} join ${sql.target} t on ${sql.sameKey}`,
  );
  const counted = columns.map(({ name }, index): [string, number] => [name, row?.[`c${index}`] ?? 0]);
  return Object.fromEntries(counted.filter(([, count]) => count > 0));
}

async function sampleRecord({ tx, staging, sql }: TableJob): Promise<Record<string, unknown> | null> {
  // As text, since JSON numbers would be rounded when they are parsed.
  const columns = sql.staged.map(({ column }) => `s.${quoteName(column.name)}::text`).join(", ");
  const [row] = await tx.unsafe<{ sample: string }[]>(`
    select row_to_json(r)::text as sample
    from (select ${columns} from ${staging} s order by s._tl_item, s._tl_record limit 1) r
  `);
  return row ? (JSON.parse(row.sample) as Record<string, unknown>) : null;
}
