import { quoteConstant, quoteName } from "../../core/sql-names.ts";
import { rejectedRows, rejectWhere, type TableJob } from "./table-job.ts";

/** The judge's first look: values, keys and twins, then a verdict for every staged record. */

export type Verdict = "insert" | "update" | "unchanged" | "skipped" | "collapsed" | "rejected";

export async function judgeRecords(job: TableJob): Promise<void> {
  await job.tx.unsafe(`analyze ${job.staging}`);
  await rejectInvalidValues(job);
  await rejectNullKeys(job);
  await findTwins(job);
  await rejectTwins(job);
  await rejectAmbiguousKeys(job);
  await classify(job);
}

/** Values that the transform could not check completely: the server is asked, and says which error it would raise. */
async function rejectInvalidValues(job: TableJob): Promise<void> {
  for (const { column, exact } of job.sql.staged) {
    if (exact) continue;
    const value = `s.${quoteName(column.name)}`;
    const type = quoteConstant(column.type.sql);
    const rules = [
      ["CONSTRAINT_CHECK", "= '23514'"],
      ["VALUE_NOT_NULL", "= '23502'"],
      ["VALUE_RANGE", "in ('22003', '22008')"],
      ["VALUE_TOO_LONG", "= '22001'"],
      ["VALUE_TYPE", "not in ('23514', '23502', '22003', '22008', '22001')"],
    ] as const;
    for (const [code, condition] of rules) {
      const where = `${value} is not null and not pg_input_is_valid(${value}, ${type})
        and (select e.sql_error_code from pg_input_error_info(${value}, ${type}) e) ${condition}`;
      const expected = quoteConstant(`a value of type ${column.type.sql}`);
      const constraint = column.type.domain && code === "CONSTRAINT_CHECK" ? { constraint: column.type.domain } : {};
      await rejectWhere(job, {
        code,
        field: column.name,
        ...constraint,
        expected,
        got: value,
        from: `${job.staging} s`,
        where,
      });
    }
  }
}

async function rejectNullKeys(job: TableJob): Promise<void> {
  const unmarked = `not exists (select from ${rejectedRows(job)} x where x.item_id = s._tl_item and x.record = s._tl_record)`;
  for (const name of job.sql.key) {
    await rejectWhere(job, {
      code: "KEY_NULL",
      field: name,
      expected: "'a value: the field is part of the natural key'",
      got: `case when ${job.sql.absent(name)} then 'no such field' else 'null' end`,
      from: `${job.staging} s`,
      where: `${job.sql.typed(name)} is null and ${unmarked}`,
    });
  }
}

/** The natural key of a row as text, for messages. */
export function keyText({ sql }: TableJob, value: (name: string) => string): string {
  const parts = sql.key.map((name) => `${quoteConstant(`${name}=`)} || coalesce(${value(name)}::text, 'null')`);
  return parts.join(" || ', ' || ");
}

/** Records that share a natural key by the column's own equality, ranked; the first one of a group may survive. */
async function findTwins(job: TableJob): Promise<void> {
  const { tx, sql, staging, twins, plan } = job;
  const keys = sql.key.map((name, index) => `${sql.typed(name)} as k${index}`).join(", ");
  const names = sql.key.map((_, index) => `k${index}`);
  const newer = plan.contract.conflict_resolution === "newest" ? sql.typed(plan.contract.newer_by ?? "") : "null::text";
  const content = sql.staged.map(({ column }) => `${sql.typed(column.name)}::text`).join(", ");
  await tx.unsafe(`
    create unlogged table ${twins} as
    with typed as (select s._tl_item, s._tl_record, ${keys} from ${staging} s),
    shared as (
      select ${names.join(", ")} from typed
      where ${names.map((name) => `${name} is not null`).join(" and ")}
      group by ${names.join(", ")} having count(*) > 1
    ),
    members as (
      select s._tl_item, s._tl_record, dense_rank() over (order by ${names.map((name) => `g.${name}`).join(", ")}) as family,
             ${newer} as newer, row(s._tl_absent, ${content})::text as content
      from shared g join ${staging} s on ${sql.key.map((name, index) => `g.k${index} = ${sql.typed(name)}`).join(" and ")}
    ),
    ranked as (
      select m.*, row_number() over w as rank, first_value(m.content) over w as first_content,
             first_value(m.newer) over w as first_newer, first_value(m._tl_item) over w as first_item,
             first_value(m._tl_record) over w as first_record
      from members m
      window w as (partition by m.family order by m.newer desc nulls last, m._tl_item, m._tl_record)
    )
    select r._tl_item, r._tl_record, r.family, r.rank, r.first_item, r.first_record,
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

/** A record without the value is never newer; a stored row without it is older than any. */
function isNewer(value: string, stored: string): string {
  return `coalesce(${value} > ${stored}, ${value} is not null and ${stored} is null)`;
}

/** One join with the target decides what becomes of every record. Nothing is locked or written by it. */
async function classify(job: TableJob): Promise<void> {
  const { tx, sql, staging, twins, verdicts, plan } = job;
  const { update_strategy: strategy, conflict_resolution: resolution, newer_by: newerBy } = plan.contract;
  const [firstKey] = sql.key;
  const existing =
    strategy === "insert_only" || resolution === "skip"
      ? "'skipped'"
      : `case when ${sql.unchanged} then 'unchanged'${
          resolution === "newest" && newerBy
            ? ` when not ${isNewer(sql.typed(newerBy), `t.${quoteName(newerBy)}`)} then 'skipped'`
            : ""
        } else 'update' end`;
  await tx.unsafe(`
    create unlogged table ${verdicts} as
    select s._tl_item as item, s._tl_record as record,
           case
             when x.item_id is not null then 'rejected'
             when d.rank > 1 then 'collapsed'
             when t.${quoteName(firstKey ?? "")} is null then ${strategy === "update_only" ? "'skipped'" : "'insert'"}
             else ${existing}
           end as verdict
    from ${staging} s
    left join ${rejectedRows(job)} x on x.item_id = s._tl_item and x.record = s._tl_record
    left join ${twins} d on d._tl_item = s._tl_item and d._tl_record = s._tl_record
    left join ${sql.target} t on x.item_id is null and ${sql.sameKey}
  `);
  await tx.unsafe(`analyze ${verdicts}`);
}

/** Takes over rejects that were found after the verdicts. */
export async function markRejected(job: TableJob): Promise<void> {
  await job.tx.unsafe(`
    update ${job.verdicts} v set verdict = 'rejected'
    from ${rejectedRows(job)} x
    where x.item_id = v.item and x.record = v.record and v.verdict in ('insert', 'update')
  `);
}
