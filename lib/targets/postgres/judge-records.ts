import type { Column } from "../../core/catalog.ts";
import type { RejectCode } from "../../core/rejects.ts";
import { quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { verdictOnStored } from "./conflict-resolution.ts";
import { rejectedRows, rejectWhere, type TableJob, valuesText } from "./table-job.ts";

/** The judge's first look: values, keys and duplicates, then a verdict for every staged record. */

/** The mark of a staged record. A record without one becomes a new row. */
type Mark = "update" | "unchanged" | "skipped" | "collapsed" | "rejected";

/** Numbers of staged records with a mark, and without one. */
export type Verdicts = { readonly count: (mark: Mark) => number; readonly inserts: number };

export async function judgeRecords(job: TableJob, staged: number): Promise<Verdicts> {
  await job.tx.unsafe(`analyze ${job.staging} (${["_tl_item", ...job.sql.key].map(quoteName).join(", ")})`);
  let rejected = (await rejectInvalidValues(job)) + (await rejectAmbiguousKeys(job));
  const duplicateGroups = await findDuplicateGroups(job);
  if (duplicateGroups > 0) {
    await rankDuplicates(job);
    rejected += await rejectDuplicates(job);
  }
  return findVerdicts(job, staged, { hasRejects: rejected > 0, hasDuplicates: duplicateGroups > 0 });
}

/** Marks the records that were rejected after the marks were made. */
export async function markRejected(job: TableJob): Promise<void> {
  job.seen.marks = true;
  await job.tx.unsafe(`
    merge into ${job.marks} v
    using ${rejectedRows(job)} x on v.item = x.item_id and v.record = x.record
    when matched then update set verdict = 'rejected'
    when not matched then insert (item, record, verdict) values (x.item_id, x.record, 'rejected')
  `);
}

/** Number of staged records of the table that were rejected, by any step. */
export async function countRejected(job: TableJob): Promise<number> {
  const [row] = await job.tx.unsafe<{ records: number }[]>(`select count(*) as records from ${rejectedRows(job)} x`);
  return row?.records ?? 0;
}

/** Rejects what the transform could not check completely. One pass tells first which columns have invalid values. */
async function rejectInvalidValues(job: TableJob): Promise<number> {
  const columns = job.sql.staged.filter(({ exact }) => !exact).map(({ column }) => column);
  if (columns.length === 0) return 0;
  const probes = columns.map((column, index) => `coalesce(bool_or(${isInvalid(column)}), false) as c${index}`);
  const [found] = await job.tx.unsafe<Record<string, boolean>[]>(`select ${probes.join(", ")} from ${job.staging} s`);
  let rejected = 0;
  for (const [index, column] of columns.entries()) {
    if (found?.[`c${index}`]) rejected += await rejectInvalidColumn(job, column);
  }
  return rejected;
}

function isInvalid({ name, type }: Column): string {
  const value = `s.${quoteName(name)}`;
  return `${value} is not null and not pg_input_is_valid(${value}, ${quoteConstant(type.sql)})`;
}

/** The code of an invalid value, by the SQLSTATE that the server would raise. */
const invalidCodes: readonly (readonly [RejectCode, string])[] = [
  ["CONSTRAINT_CHECK", "= '23514'"],
  ["VALUE_NOT_NULL", "= '23502'"],
  ["VALUE_RANGE", "in ('22003', '22008')"],
  ["VALUE_TOO_LONG", "= '22001'"],
  ["VALUE_TYPE", "not in ('23514', '23502', '22003', '22008', '22001')"],
];

async function rejectInvalidColumn(job: TableJob, column: Column): Promise<number> {
  let rejected = 0;
  const value = `s.${quoteName(column.name)}`;
  const { sql: type, domain } = column.type;
  for (const [code, condition] of invalidCodes) {
    rejected += await rejectWhere(job, {
      code,
      field: column.name,
      ...(domain && code === "CONSTRAINT_CHECK" ? { constraint: domain } : {}),
      expected: quoteConstant(`a value of type ${type}`),
      got: value,
      from: `${job.staging} s`,
      where: `${isInvalid(column)}
        and (select e.sql_error_code from pg_input_error_info(${value}, ${quoteConstant(type)}) e) ${condition}`,
    });
  }
  return rejected;
}

/** Collects natural keys that several records share, by the columns' own equality. Answers their number. */
async function findDuplicateGroups(job: TableJob): Promise<number> {
  const { tx, sql, staging, duplicateGroups } = job;
  const names = sql.key.map((_, index) => `k${index}`);
  const keys = sql.key.map((name, index) => `${sql.typed(name)} as ${names[index]}`).join(", ");
  // In one process, because parallel ones would sort their results to combine them.
  const { count } = await withSettings(job, { ...hashMemory, max_parallel_workers_per_gather: "0" }, () =>
    tx.unsafe(`
      create table ${duplicateGroups} as
      select row_number() over () as duplicate_group, ${names.join(", ")}
      from (select ${keys} from ${staging} s) typed
      where ${names.map((name) => `${name} is not null`).join(" and ")}
      group by ${names.join(", ")} having count(*) > 1
    `),
  );
  return count;
}

/** Ranks the records of each duplicate group; the first one may survive. */
async function rankDuplicates({ tx, sql, staging, duplicates, duplicateGroups, plan }: TableJob): Promise<void> {
  const newer = plan.contract.conflict_resolution === "newest" ? sql.typed(plan.contract.newer_by ?? "") : "null::text";
  const content = sql.staged.map(({ column }) => `${sql.typed(column.name)}::text`).join(", ");
  await tx.unsafe(`
    create table ${duplicates} as
    with members as (
      select s._tl_item, s._tl_record, g.duplicate_group, ${newer} as newer, row(s._tl_absent, ${content})::text as content
      from ${duplicateGroups} g
      join ${staging} s on ${sql.key.map((name, index) => `g.k${index} = ${sql.typed(name)}`).join(" and ")}
    ),
    ranked as (
      select m.*, row_number() over w as rank, first_value(m.content) over w as first_content,
             first_value(m.newer) over w as first_newer
      from members m
      window w as (partition by m.duplicate_group order by m.newer desc nulls last, m._tl_item, m._tl_record)
    )
    select r._tl_item, r._tl_record, r.duplicate_group, r.rank,
           r.content <> r.first_content and not coalesce(r.newer < r.first_newer, r.newer is null and r.first_newer is not null)
             as differs
    from ranked r
  `);
}

/** Rejects all records of a key if they differ: the loader cannot know which one is right. */
async function rejectDuplicates(job: TableJob): Promise<number> {
  const { items } = job.sinks;
  const others = `(select string_agg('record ' || o._tl_record || ' of ' || w.${items.columns.key}, ', ' order by o._tl_item, o._tl_record)
    from (select o.* from ${job.duplicates} o where o.duplicate_group = d.duplicate_group
            and (o._tl_item, o._tl_record) <> (s._tl_item, s._tl_record) order by o.rank limit 3) o
    join ${items.name} w on w.${items.columns.item} = o._tl_item)`;
  return rejectWhere(job, {
    code: "KEY_DUPLICATE",
    field: job.sql.key.join(", "),
    expected: `'one record for each natural key; the same key with other values stands at ' || ${others}`,
    got: valuesText(job.sql.key, job.sql.typed),
    from: `${job.duplicates} d join ${job.staging} s on (s._tl_item, s._tl_record) = (d._tl_item, d._tl_record)`,
    where: `exists (select from ${job.duplicates} e where e.duplicate_group = d.duplicate_group and e.differs)`,
  });
}

/** Without a unique index the table may hold a key twice: then no single row can be compared or updated. */
async function rejectAmbiguousKeys(job: TableJob): Promise<number> {
  const { plan, sql, staging } = job;
  if (plan.guarded) return 0;
  return rejectWhere(job, {
    code: "KEY_NOT_UNIQUE",
    field: sql.key.join(", "),
    expected: "'at most one stored row with this natural key; the table has several'",
    got: valuesText(sql.key, sql.typed),
    from: `${staging} s`,
    where: `(select count(*) from (select from ${sql.target} t where ${sql.sameKey} limit 2) stored) > 1`,
  });
}

type Exceptions = { readonly hasRejects: boolean; readonly hasDuplicates: boolean };

/**
 * Finds all verdicts by one join with the target, which locks and writes nothing there. Marks only those that the merge
 * needs: updates, and all other exceptions if some records are new rows and some are not. Counting before marking costs
 * a second join if anything is marked, so a sample of the records decides whether to mark at once.
 *
 * @param staged number of records in the staging table
 */
async function findVerdicts(job: TableJob, staged: number, exceptions: Exceptions): Promise<Verdicts> {
  const known = await withSettings(job, hashMemory, () => mark(job, staged, exceptions));
  const counts = known ?? (await countVerdicts(job, job.marks));
  return { count: (verdict) => counts.get(verdict) ?? 0, inserts: staged - sumOf(counts) };
}

/** Answers the counts if they were taken before the marks were made, else null. */
async function mark(job: TableJob, staged: number, exceptions: Exceptions): Promise<Counts | null> {
  const verdicts = verdictsOf(job, job.staging, exceptions);
  // Attempts to change immutable fields are counted over the marks, which then have to be complete.
  const needsAll = job.sql.immutable.length > 0 || (await findsChanges(job, staged, exceptions));
  const known = needsAll ? null : await countVerdicts(job, verdicts);
  const inserts = known === null ? 0 : staged - sumOf(known);
  if (known === null || (inserts > 0 && inserts < staged)) await createMarks(job, verdicts, "true");
  else await createMarks(job, verdicts, known.get("update") ? "v.verdict = 'update'" : "false");
  return known;
}

const sampledRecords = 2_000;

/** Whether any record of a sample updates a row. */
async function findsChanges(job: TableJob, staged: number, exceptions: Exceptions): Promise<boolean> {
  const percent = Math.min(100, (100 * sampledRecords) / Math.max(staged, 1));
  const sample = `(select * from ${job.staging} tablesample system (${percent}))`;
  const [row] = await job.tx.unsafe<{ found: boolean }[]>(
    `select exists (select from ${verdictsOf(job, sample, exceptions)} v where v.verdict = 'update') as found`,
  );
  return row?.found ?? false;
}

/** A subquery of the verdicts: item, record, verdict. */
function verdictsOf(job: TableJob, records: string, { hasRejects, hasDuplicates }: Exceptions): string {
  const { sql, duplicates } = job;
  const skipsNew = job.plan.contract.update_strategy === "update_only";
  // Stored rows are nearly always the only exceptions, and then a plain join finds all of them.
  const joins = [
    ...(hasRejects ? [`left join ${rejectedRows(job)} x on x.item_id = s._tl_item and x.record = s._tl_record`] : []),
    ...(hasDuplicates ? [`left join ${duplicates} d on d._tl_item = s._tl_item and d._tl_record = s._tl_record`] : []),
    `${hasRejects || hasDuplicates || skipsNew ? "left join" : "join"} ${sql.target} t
      on ${hasRejects ? "x.item_id is null and " : ""}${sql.sameKey}`,
  ];
  const cases = [
    ...(hasRejects ? ["when x.item_id is not null then 'rejected'"] : []),
    ...(hasDuplicates ? ["when d.rank > 1 then 'collapsed'"] : []),
    `when t.${quoteName(sql.key[0] ?? "")} is not null then ${verdictOnStored(job.plan, job.sql)}`,
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

/** Memory for the hashes of a million records; on disk they take half as long again. */
const hashMemory = { work_mem: "64MB" };

/** Runs `work` under other settings of the planner. An error ends the transaction, and the settings with it. */
async function withSettings<T>(
  { tx }: TableJob,
  planner: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<T> {
  const names = Object.keys(planner);
  await tx.unsafe(names.map((name) => `set local ${name} = '${planner[name]}'`).join("; "));
  const result = await work();
  await tx.unsafe(names.map((name) => `set local ${name} to default`).join("; "));
  return result;
}
