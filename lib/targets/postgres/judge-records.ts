import type { Column } from "../../core/catalog.ts";
import type { RejectCode } from "../../core/rejects.ts";
import { quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { verdictOnStored } from "./conflict-resolution.ts";
import { hashMemory, keyText, rejectedRows, rejectWhere, type TableJob, withSettings } from "./table-job.ts";

/** The judge's first look: values, keys and twins, then a verdict for every staged record. */

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

/**
 * Values that the transform could not check completely: the server is asked. One pass tells of all columns whether
 * there is anything to say about them.
 */
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

/** By the error that the server would raise. */
const inputFaults: readonly (readonly [RejectCode, string])[] = [
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
  for (const [code, condition] of inputFaults) {
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

/** Natural keys that several records share by the column's own equality; answers how many. */
async function findDuplicateGroups(job: TableJob): Promise<number> {
  const { tx, sql, staging, duplicateGroups } = job;
  const names = sql.key.map((_, index) => `k${index}`);
  const keys = sql.key.map((name, index) => `${sql.typed(name)} as ${names[index]}`).join(", ");
  // In one process: several would sort what they found to put it together.
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

/** The records of each duplicate_group, ranked; the first one may survive. */
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

/** Different records of one key are all rejected: which one is right cannot be known. */
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
    got: keyText(job, job.sql.typed),
    from: `${job.duplicates} d join ${job.staging} s on (s._tl_item, s._tl_record) = (d._tl_item, d._tl_record)`,
    where: `exists (select from ${job.duplicates} e where e.duplicate_group = d.duplicate_group and e.differs)`,
  });
}

/** Without a unique index the table may hold a key twice: then there is no one row to compare with or to change. */
async function rejectAmbiguousKeys(job: TableJob): Promise<number> {
  const { plan, sql, staging } = job;
  if (plan.guarded) return 0;
  return rejectWhere(job, {
    code: "KEY_NOT_UNIQUE",
    field: sql.key.join(", "),
    expected: "'at most one stored row with this natural key; the table has several'",
    got: keyText(job, sql.typed),
    from: `${staging} s`,
    where: `(select count(*) from (select from ${sql.target} t where ${sql.sameKey} limit 2) stored) > 1`,
  });
}

/** The verdict on every staged record, by one join with the target. Nothing is locked or written by it. */

/** What a record is marked as. Without a mark it becomes a new row. */
type Mark = "update" | "unchanged" | "skipped" | "collapsed" | "rejected";

type Exceptions = { readonly hasRejects: boolean; readonly hasDuplicates: boolean };

/** How many records of each kind there are. */
export type Verdicts = { readonly count: (mark: Mark) => number; readonly inserts: number };

/**
 * Only exceptions are marked, and of these only what the merge has to find again: a load of new rows alone marks none,
 * and so does one of rows that are stored already. What is neither costs a second join, so a few records are asked
 * first.
 *
 * @param staged records in the staging table
 */
async function findVerdicts(job: TableJob, staged: number, exceptions: Exceptions): Promise<Verdicts> {
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
