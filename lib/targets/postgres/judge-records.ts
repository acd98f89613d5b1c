import type { Column } from "../../core/catalog.ts";
import type { RejectCode } from "../../core/rejects.ts";
import { quoteConstant, quoteName } from "../../core/sql-names.ts";
import { keyText, rejectedRows, rejectWhere, type TableJob } from "./table-job.ts";

/** The judge's first look: values, keys and twins, then a verdict for every staged record. */

/** What a record is marked as. Without a mark it becomes a new row. */
export type Mark = "update" | "unchanged" | "skipped" | "collapsed" | "rejected";

export async function judgeRecords(job: TableJob): Promise<void> {
  await job.tx.unsafe(`analyze ${job.staging} (${["_tl_item", ...job.sql.key].map(quoteName).join(", ")})`);
  await rejectInvalidValues(job);
  await findTwins(job);
  await rejectTwins(job);
  await rejectAmbiguousKeys(job);
  await classify(job);
}

/**
 * Values that the transform could not check completely: the server is asked. One pass tells of all columns whether
 * there is anything to say about them.
 */
async function rejectInvalidValues(job: TableJob): Promise<void> {
  const columns = job.sql.staged.filter(({ exact }) => !exact).map(({ column }) => column);
  if (columns.length === 0) return;
  const probes = columns.map((column, index) => `coalesce(bool_or(${isInvalid(column)}), false) as c${index}`);
  const [found] = await job.tx.unsafe<Record<string, boolean>[]>(`select ${probes.join(", ")} from ${job.staging} s`);
  for (const [index, column] of columns.entries()) {
    if (found?.[`c${index}`]) await rejectInvalidColumn(job, column);
  }
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

async function rejectInvalidColumn(job: TableJob, column: Column): Promise<void> {
  const value = `s.${quoteName(column.name)}`;
  const { sql: type, domain } = column.type;
  for (const [code, condition] of inputFaults) {
    await rejectWhere(job, {
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
}

/** Records that share a natural key by the column's own equality, ranked; the first one of a group may survive. */
async function findTwins(job: TableJob): Promise<void> {
  const { tx, sql, staging, twins, families, plan } = job;
  const names = sql.key.map((_, index) => `k${index}`);
  const keys = sql.key.map((name, index) => `${sql.typed(name)} as ${names[index]}`).join(", ");
  await tx.unsafe(`
    create unlogged table ${families} as
    select row_number() over () as family, ${names.join(", ")}
    from (select ${keys} from ${staging} s) typed
    where ${names.map((name) => `${name} is not null`).join(" and ")}
    group by ${names.join(", ")} having count(*) > 1
  `);
  const newer = plan.contract.conflict_resolution === "newest" ? sql.typed(plan.contract.newer_by ?? "") : "null::text";
  const content = sql.staged.map(({ column }) => `${sql.typed(column.name)}::text`).join(", ");
  await tx.unsafe(`
    create unlogged table ${twins} as
    with members as (
      select s._tl_item, s._tl_record, g.family, ${newer} as newer, row(s._tl_absent, ${content})::text as content
      from ${families} g
      join ${staging} s on ${sql.key.map((name, index) => `g.${names[index]} = ${sql.typed(name)}`).join(" and ")}
    ),
    ranked as (
      select m.*, row_number() over w as rank, first_value(m.content) over w as first_content,
             first_value(m.newer) over w as first_newer
      from members m
      window w as (partition by m.family order by m.newer desc nulls last, m._tl_item, m._tl_record)
    )
    select r._tl_item, r._tl_record, r.family, r.rank,
           r.content <> r.first_content and not coalesce(r.newer < r.first_newer, r.newer is null and r.first_newer is not null)
             as differs
    from ranked r
  `);
}

/** Different records of one key are all rejected: which one is right cannot be known. */
async function rejectTwins(job: TableJob): Promise<void> {
  const others = `(select string_agg('record ' || o._tl_record || ' of ' || w.key, ', ' order by o._tl_item, o._tl_record)
    from (select o.* from ${job.twins} o where o.family = d.family
            and (o._tl_item, o._tl_record) <> (s._tl_item, s._tl_record) order by o.rank limit 3) o
    join table_loader.work_items w on w.item_id = o._tl_item)`;
  await rejectWhere(job, {
    code: "KEY_DUPLICATE",
    field: job.sql.key.join(", "),
    expected: `'one record for each natural key; the same key with other values stands at ' || ${others}`,
    got: keyText(job, job.sql.typed),
    from: `${job.twins} d join ${job.staging} s on (s._tl_item, s._tl_record) = (d._tl_item, d._tl_record)`,
    where: `exists (select from ${job.twins} e where e.family = d.family and e.differs)`,
  });
}

/** Without a unique index the table may hold a key twice: then there is no one row to compare with or to change. */
async function rejectAmbiguousKeys(job: TableJob): Promise<void> {
  const { plan, sql, staging } = job;
  if (plan.guarded) return;
  await rejectWhere(job, {
    code: "KEY_NOT_UNIQUE",
    field: sql.key.join(", "),
    expected: "'at most one stored row with this natural key; the table has several'",
    got: keyText(job, sql.typed),
    from: `${staging} s`,
    where: `(select count(*) from (select from ${sql.target} t where ${sql.sameKey} limit 2) stored) > 1`,
  });
}

/**
 * One join with the target decides what becomes of every record. Nothing is locked or written by it. Only exceptions
 * are marked: a record without a mark is a new row, and a load of nothing else marks none.
 */
async function classify(job: TableJob): Promise<void> {
  const { tx, sql, staging, twins, marks } = job;
  const stored = `t.${quoteName(sql.key[0] ?? "")} is not null`;
  await tx.unsafe(`
    create unlogged table ${marks} as
    select m.item, m.record, m.verdict
    from (
      select s._tl_item as item, s._tl_record as record,
             case
               when x.item_id is not null then 'rejected'
               when d.rank > 1 then 'collapsed'
               when ${stored} then ${verdictOnStored(job)}
               else ${job.plan.contract.update_strategy === "update_only" ? "'skipped'" : "null"}
             end as verdict
      from ${staging} s
      left join ${rejectedRows(job)} x on x.item_id = s._tl_item and x.record = s._tl_record
      left join ${twins} d on d._tl_item = s._tl_item and d._tl_record = s._tl_record
      left join ${sql.target} t on x.item_id is null and ${sql.sameKey}
    ) m
    where m.verdict is not null
  `);
  await tx.unsafe(`analyze ${marks}`);
}

/** What becomes of a record whose key is stored already. */
function verdictOnStored({ sql, plan }: TableJob): string {
  const { update_strategy: strategy, conflict_resolution: resolution } = plan.contract;
  if (strategy === "insert_only" || resolution === "skip") return "'skipped'";
  const older = resolution === "newest" && sql.newer !== null ? ` when not ${sql.newer} then 'skipped'` : "";
  return `case when ${sql.unchanged} then 'unchanged'${older} else 'update' end`;
}

/** Takes over rejects that were found after the marks. */
export async function markRejected(job: TableJob): Promise<void> {
  await job.tx.unsafe(`
    merge into ${job.marks} v
    using ${rejectedRows(job)} x on v.item = x.item_id and v.record = x.record
    when matched then update set verdict = 'rejected'
    when not matched then insert (item, record, verdict) values (x.item_id, x.record, 'rejected')
  `);
}
