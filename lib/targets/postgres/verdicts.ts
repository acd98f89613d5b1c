import { quoteName } from "../../postgres/sql-names.ts";
import { hashMemory, rejectedRows, type TableJob, withSettings } from "./table-job.ts";

/** The verdict on every staged record, by one join with the target. Nothing is locked or written by it. */

/** What a record is marked as. Without a mark it becomes a new row. */
export type Mark = "update" | "unchanged" | "skipped" | "collapsed" | "rejected";

export type Exceptions = { readonly hasRejects: boolean; readonly hasDuplicates: boolean };

/** How many records of each kind there are. */
export type Verdicts = { readonly count: (mark: Mark) => number; readonly inserts: number };

/**
 * Only exceptions are marked, and of these only what the merge has to find again: a load of new rows alone marks none,
 * and so does one of rows that are stored already. What is neither costs a second join, so a few records are asked
 * first.
 *
 * @param staged records in the staging table
 */
export async function findVerdicts(job: TableJob, staged: number, exceptions: Exceptions): Promise<Verdicts> {
  const known = await withSettings(job, hashMemory, () => mark(job, staged, exceptions));
  const counts = known ?? (await countVerdicts(job, job.marks));
  return { count: (verdict) => counts.get(verdict) ?? 0, inserts: staged - sumOf(counts) };
}

/** Answers the counts where they had to be taken before the marks were made. */
async function mark(job: TableJob, staged: number, exceptions: Exceptions): Promise<Counts | null> {
  const verdicts = verdictsOf(job, job.staging, exceptions);
  // What immutable fields were tried to be changed is counted over all that was found.
  const needsAll = job.sql.immutable.length > 0 || (await findsChanges(job, staged, exceptions));
  const known = needsAll ? null : await countVerdicts(job, verdicts);
  const inserts = known === null ? 0 : staged - sumOf(known);
  if (known === null || (inserts > 0 && inserts < staged)) await createMarks(job, verdicts, "true");
  else await createMarks(job, verdicts, known.get("update") ? "v.verdict = 'update'" : "false");
  return known;
}

const sampledRecords = 2_000;

/** Whether a few of the records change a row. */
async function findsChanges(job: TableJob, staged: number, exceptions: Exceptions): Promise<boolean> {
  const percent = Math.min(100, (100 * sampledRecords) / Math.max(staged, 1));
  const sample = `(select * from ${job.staging} tablesample system (${percent}))`;
  const [row] = await job.tx.unsafe<{ found: boolean }[]>(
    `select exists (select from ${verdictsOf(job, sample, exceptions)} v where v.verdict = 'update') as found`,
  );
  return row?.found ?? false;
}

/** The verdicts as something to select from: item, record, verdict. */
function verdictsOf(job: TableJob, records: string, { hasRejects, hasDuplicates }: Exceptions): string {
  const { sql, duplicates } = job;
  const skipsNew = job.plan.contract.update_strategy === "update_only";
  // Nearly always only what is stored already is an exception.
  const joins = [
    ...(hasRejects ? [`left join ${rejectedRows(job)} x on x.item_id = s._tl_item and x.record = s._tl_record`] : []),
    ...(hasDuplicates ? [`left join ${duplicates} d on d._tl_item = s._tl_item and d._tl_record = s._tl_record`] : []),
    `${hasRejects || hasDuplicates || skipsNew ? "left join" : "join"} ${sql.target} t
      on ${hasRejects ? "x.item_id is null and " : ""}${sql.sameKey}`,
  ];
  const cases = [
    ...(hasRejects ? ["when x.item_id is not null then 'rejected'"] : []),
    ...(hasDuplicates ? ["when d.rank > 1 then 'collapsed'"] : []),
    `when t.${quoteName(sql.key[0] ?? "")} is not null then ${verdictOnStored(job)}`,
    ...(skipsNew ? ["else 'skipped'"] : []),
  ];
  return `(
    select m.item, m.record, m.verdict
    from (
      select s._tl_item as item, s._tl_record as record, case ${cases.join(" ")} end as verdict
      from ${records} s ${joins.join(" ")}
    ) m
    where m.verdict is not null
  )`;
}

/** What becomes of a record whose key is stored already. */
function verdictOnStored({ sql, plan }: TableJob): string {
  const { update_strategy: strategy, conflict_resolution: resolution } = plan.contract;
  if (strategy === "insert_only" || resolution === "skip") return "'skipped'";
  const older = resolution === "newest" && sql.newer !== null ? ` when not ${sql.newer} then 'skipped'` : "";
  return `case when ${sql.unchanged} then 'unchanged'${older} else 'update' end`;
}

type Counts = ReadonlyMap<Mark, number>;

const sumOf = (counts: Counts): number => [...counts.values()].reduce((sum, count) => sum + count, 0);

async function countVerdicts({ tx }: TableJob, from: string): Promise<Counts> {
  const rows = await tx.unsafe<{ verdict: Mark; records: number }[]>(
    `select v.verdict, count(*) as records from ${from} v group by v.verdict`,
  );
  return new Map(rows.map(({ verdict, records }) => [verdict, records]));
}

async function createMarks({ tx, marks, seen }: TableJob, verdicts: string, where: string): Promise<void> {
  const { count } = await tx.unsafe(`create table ${marks} as select v.* from ${verdicts} v where ${where}`);
  await tx.unsafe(`analyze ${marks}`);
  seen.marks = count > 0;
}

/** Takes over rejects that were found after the marks. */
export async function markRejected(job: TableJob): Promise<void> {
  job.seen.marks = true;
  await job.tx.unsafe(`
    merge into ${job.marks} v
    using ${rejectedRows(job)} x on v.item = x.item_id and v.record = x.record
    when matched then update set verdict = 'rejected'
    when not matched then insert (item, record, verdict) values (x.item_id, x.record, 'rejected')
  `);
}

/** Staged records that were rejected, whenever that was. */
export async function countRejected(job: TableJob): Promise<number> {
  const [row] = await job.tx.unsafe<{ records: number }[]>(`select count(*) as records from ${rejectedRows(job)} x`);
  return row?.records ?? 0;
}
