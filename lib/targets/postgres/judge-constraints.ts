import { type Column, type ForeignKey, isSameKey, type UniqueKey } from "../../core/catalog.ts";
import { quoteConstant, quoteName } from "../../core/sql-names.ts";
import { drawsFromSequence } from "./expressions.ts";
import { markRejected } from "./judge-records.ts";
import { rejectWhere, type TableJob } from "./table-job.ts";

/**
 * The judge's second look: what the rows would be, against the table's constraints, set by set. Parents of this batch
 * are merged before their children are judged, so a foreign key is looked up in the parent table alone.
 */
export async function judgeConstraints(job: TableJob): Promise<void> {
  await rejectNulls(job);
  await rejectChecks(job);
  await rejectOtherKeys(job);
  await markRejected(job);
  const isOwn = ({ parentSql }: ForeignKey): boolean => parentSql === job.sql.target;
  const { foreignKeys } = job.plan.shape;
  for (const foreignKey of foreignKeys.filter((key) => !isOwn(key))) await rejectOrphans(job, foreignKey, null);
  await markRejected(job);
  await rejectOwnOrphans(job, foreignKeys.filter(isOwn));
}

/** A table that refers to itself: only rows that survive everything else are parents, so this comes last, to a fixpoint. */
async function rejectOwnOrphans(job: TableJob, foreignKeys: readonly ForeignKey[]): Promise<void> {
  let found = 0;
  do {
    found = 0;
    for (const foreignKey of foreignKeys) {
      found += await rejectOrphans(job, foreignKey, resultingRows(job, foreignKey.parentColumns));
    }
    await markRejected(job);
  } while (found > 0);
}

/** A resulting value as the judge sees it: it never draws from a sequence. */
function resultOf({ sql }: TableJob, column: Column): string {
  const isStaged = sql.staged.some(({ column: staged }) => staged.name === column.name);
  const staged = isStaged ? sql.typed(column.name) : "null";
  const inserted = drawsFromSequence(column) ? staged : sql.inserted(column);
  return `case v.verdict when 'insert' then ${inserted} else ${sql.updated(column)} end`;
}

/** The rows as they would be stored: `s` with the loader's two columns and the named columns of the table. */
function resultingRows(job: TableJob, columns: readonly string[]): string {
  const { sql, verdicts, staging, plan } = job;
  const values = columns.flatMap((name) => {
    const column = plan.shape.columns.find((candidate) => candidate.name === name);
    return column ? [`${resultOf(job, column)} as ${quoteName(name)}`] : [];
  });
  return `(select ${["s._tl_item", "s._tl_record", ...values].join(", ")}
    from ${verdicts} v
    join ${staging} s on s._tl_item = v.item and s._tl_record = v.record
    left join ${sql.target} t on v.verdict = 'update' and ${sql.sameKey}
    where v.verdict in ('insert', 'update'))`;
}

/** A column that a sequence or the server fills may be absent, but not null. */
async function rejectNulls(job: TableJob): Promise<void> {
  const { sql, verdicts, staging, plan } = job;
  for (const column of plan.shape.columns) {
    if (!column.notNull || column.generated || sql.key.includes(column.name)) continue;
    const isStaged = sql.staged.some(({ column: staged }) => staged.name === column.name);
    if (drawsFromSequence(column) && !isStaged) continue;
    const filled = drawsFromSequence(column) ? `not ${sql.absent(column.name)} and ` : "";
    await rejectWhere(job, {
      code: "VALUE_NOT_NULL",
      field: column.name,
      expected: quoteConstant(`a value of type ${column.type.sql}: the column is not null`),
      got: isStaged ? `case when ${sql.absent(column.name)} then 'no such field' else 'null' end` : "'no such field'",
      from: `${verdicts} v join ${staging} s on s._tl_item = v.item and s._tl_record = v.record
             left join ${sql.target} t on v.verdict = 'update' and ${sql.sameKey}`,
      where: `v.verdict in ('insert', 'update') and ${filled}(${resultOf(job, column)}) is null`,
    });
  }
}

/** Column texts of a row for a message: `volume_ml=-1, tube_type=EDTA`. */
function valuesText(columns: readonly string[]): string {
  return columns
    .map((name) => `${quoteConstant(`${name}=`)} || coalesce(s.${quoteName(name)}::text, 'null')`)
    .join(" || ', ' || ");
}

/** The constraint's own expression over the resulting row; generated columns are left to the server. */
async function rejectChecks(job: TableJob): Promise<void> {
  const generated = new Set(job.plan.shape.columns.filter((column) => column.generated).map(({ name }) => name));
  for (const { name, sql, columns } of job.plan.shape.checks) {
    if (columns.length === 0 || columns.some((column) => generated.has(column))) continue;
    const condition = `(select ${sql} from (select ${columns.map((column) => `s.${quoteName(column)}`).join(", ")}) as ${quoteName(job.plan.table)})`;
    await rejectWhere(job, {
      code: "CONSTRAINT_CHECK",
      field: columns.join(", "),
      constraint: name,
      expected: quoteConstant(`check ${sql}`),
      got: valuesText(columns),
      from: `${resultingRows(job, columns)} s`,
      where: `${condition} is false`,
    });
  }
}

/** Other unique keys: against each other and against the rows that are stored. The upsert must not swallow them. */
async function rejectOtherKeys(job: TableJob): Promise<void> {
  for (const unique of job.plan.shape.uniqueKeys) {
    const staged = unique.columns.every((name) => job.sql.staged.some(({ column }) => column.name === name));
    if (!unique.plain || !staged || isSameKey(unique.columns, job.sql.key)) continue;
    await rejectOtherKey(job, unique);
  }
}

async function rejectOtherKey(job: TableJob, { name, columns }: UniqueKey): Promise<void> {
  const { sql } = job;
  const rows = resultingRows(job, [...new Set([...columns, ...sql.key])]);
  const same = (other: string): string =>
    columns.map((column) => `${other}.${quoteName(column)} = s.${quoteName(column)}`).join(" and ");
  const otherKey = sql.key
    .map((column) => `t.${quoteName(column)} is not distinct from s.${quoteName(column)}`)
    .join(" and ");
  const twins = `(select ${columns.map(quoteName).join(", ")} from ${rows} r
    where ${columns.map((column) => `r.${quoteName(column)} is not null`).join(" and ")}
    group by ${columns.map(quoteName).join(", ")} having count(*) > 1)`;
  await rejectWhere(job, {
    code: "CONSTRAINT_UNIQUE",
    field: columns.join(", "),
    constraint: name,
    expected: quoteConstant(`no other row with the same ${columns.join(", ")}`),
    got: valuesText(columns),
    from: `${rows} s`,
    where: `exists (select from ${twins} w where ${same("w")})
      or exists (select from ${sql.target} t where ${same("t")} and not (${otherKey}))`,
  });
}

/** Rows whose parent is neither stored nor, where the table refers to itself, among its siblings. */
async function rejectOrphans(job: TableJob, foreignKey: ForeignKey, siblings: string | null): Promise<number> {
  const { columns, parentColumns, parentSql, parentTable, name } = foreignKey;
  const isParent = (alias: string): string =>
    columns
      .map((column, index) => `${alias}.${quoteName(parentColumns[index] ?? "")} = s.${quoteName(column)}`)
      .join(" and ");
  const amongSiblings = siblings === null ? "" : ` and not exists (select from ${siblings} p where ${isParent("p")})`;
  return rejectWhere(job, {
    code: "CONSTRAINT_FK",
    field: columns.join(", "),
    constraint: name,
    expected: quoteConstant(
      `a row of ${parentTable} with this ${parentColumns.join(", ")}, stored before or in this batch`,
    ),
    got: valuesText(columns),
    from: `${resultingRows(job, columns)} s`,
    where: `${columns.map((column) => `s.${quoteName(column)} is not null`).join(" and ")}
      and not exists (select from ${parentSql} p where ${isParent("p")})${amongSiblings}`,
  });
}
