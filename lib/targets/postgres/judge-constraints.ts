import { type Column, type ForeignKey, isSameKey, type UniqueKey } from "../../core/catalog.ts";
import { quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { drawsFromSequence } from "./expressions.ts";
import { markRejected } from "./judge-records.ts";
import { type Effect, type RejectRule, rejectWhere, type TableJob } from "./table-job.ts";

/**
 * The judge's second look: what the rows would be, against the table's constraints, set by set. Parents of this batch
 * are merged before their children are judged, so a foreign key is looked up in the parent table alone.
 */
export async function judgeConstraints(job: TableJob, effects: readonly Effect[]): Promise<void> {
  const look: Look = { job, effects };
  await rejectBroken(look, [...nullRules(look), ...checkRules(look), ...otherKeyRules(look)]);
  const isOwn = ({ parentSql }: ForeignKey): boolean => parentSql === job.sql.target;
  const { foreignKeys } = job.plan.shape;
  let found = 0;
  for (const foreignKey of foreignKeys.filter((key) => !isOwn(key)))
    found += await rejectOrphans(look, foreignKey, null);
  if (found > 0) await markRejected(job);
  await rejectOwnOrphans(look, foreignKeys.filter(isOwn));
}

/** A job with the effects that any of its records have: only their rows are looked at. */
type Look = { readonly job: TableJob; readonly effects: readonly Effect[] };

/** A rule with the columns it looks at, and a condition over the resulting rows that says whether it may find any. */
type ProbedRule = { readonly columns: readonly string[]; readonly probe: string; readonly rule: RejectRule };

/**
 * Mostly nothing is broken, and one pass over the rows tells that of all rules at once; only those that find something
 * are run for its records.
 */
async function rejectBroken(look: Look, rules: readonly ProbedRule[]): Promise<void> {
  if (rules.length === 0) return;
  const { job } = look;
  const rows = resultingRows(look, [...new Set(rules.flatMap(({ columns }) => columns))]);
  const probes = rules.map(({ probe }, index) => `coalesce(bool_or(${probe}), false) as r${index}`);
  const [found] = await job.tx.unsafe<Record<string, boolean>[]>(`select ${probes.join(", ")} from ${rows} s`);
  let rejected = 0;
  for (const [index, { rule }] of rules.entries()) {
    if (found?.[`r${index}`]) rejected += await rejectWhere(job, rule);
  }
  if (rejected > 0) await markRejected(job);
}

/** A table that refers to itself: only rows that survive everything else are parents, so this comes last, to a fixpoint. */
async function rejectOwnOrphans(look: Look, foreignKeys: readonly ForeignKey[]): Promise<void> {
  let found = 0;
  do {
    found = 0;
    for (const foreignKey of foreignKeys) {
      found += await rejectOrphans(look, foreignKey, resultingRows(look, foreignKey.parentColumns));
    }
    if (found > 0) await markRejected(look.job);
  } while (found > 0);
}

/** A resulting value as the judge sees it: it never draws from a sequence. */
function resultOf({ sql }: TableJob, column: Column, effect: Effect): string {
  if (effect === "update") return sql.updated(column);
  if (!drawsFromSequence(column)) return sql.inserted(column);
  const isStaged = sql.staged.some(({ column: staged }) => staged.name === column.name);
  return isStaged ? sql.typed(column.name) : `null::${column.type.sql}`;
}

/** The rows as they would be stored: `s` with the loader's own columns and the named columns of the table. */
function resultingRows({ job, effects }: Look, names: readonly string[]): string {
  const columns = names.flatMap((name) => job.plan.shape.columns.find((column) => column.name === name) ?? []);
  const branches = effects.map((effect) => {
    const values = columns.map((column) => `${resultOf(job, column, effect)} as ${quoteName(column.name)}`);
    const stored = effect === "update" ? ` join ${job.sql.target} t on ${job.sql.sameKey}` : "";
    return `select ${["s._tl_item", "s._tl_record", "s._tl_absent", ...values].join(", ")}
      from ${job.rows(effect)}${stored}`;
  });
  return `(${branches.join(" union all ")})`;
}

/** A column that a sequence or the server fills may be absent, but not null. */
function nullRules(look: Look): ProbedRule[] {
  const { sql, plan } = look.job;
  return plan.shape.columns.flatMap((column) => {
    if (!column.notNull || column.generated || sql.key.includes(column.name)) return [];
    const isStaged = sql.staged.some(({ column: staged }) => staged.name === column.name);
    if (drawsFromSequence(column) && !isStaged) return [];
    const filled = drawsFromSequence(column) ? `not ${sql.absent(column.name)} and ` : "";
    const where = `${filled}s.${quoteName(column.name)} is null`;
    const rule: RejectRule = {
      code: "VALUE_NOT_NULL",
      field: column.name,
      expected: quoteConstant(`a value of type ${column.type.sql}: the column is not null`),
      got: isStaged ? `case when ${sql.absent(column.name)} then 'no such field' else 'null' end` : "'no such field'",
      from: `${resultingRows(look, [column.name])} s`,
      where,
    };
    return [{ columns: [column.name], probe: where, rule }];
  });
}

/** Column texts of a row for a message: `volume_ml=-1, tube_type=EDTA`. */
function valuesText(columns: readonly string[]): string {
  return columns
    .map((name) => `${quoteConstant(`${name}=`)} || coalesce(s.${quoteName(name)}::text, 'null')`)
    .join(" || ', ' || ");
}

/** The constraint's own expression over the resulting row; generated columns are left to the server. */
function checkRules(look: Look): ProbedRule[] {
  const { plan } = look.job;
  const generated = new Set(plan.shape.columns.filter((column) => column.generated).map(({ name }) => name));
  return plan.shape.checks.flatMap(({ name, sql, columns }) => {
    if (columns.length === 0 || columns.some((column) => generated.has(column))) return [];
    const values = columns.map((column) => `s.${quoteName(column)}`).join(", ");
    const where = `(select ${sql} from (select ${values}) as ${quoteName(plan.table)}) is false`;
    const rule: RejectRule = {
      code: "CONSTRAINT_CHECK",
      field: columns.join(", "),
      constraint: name,
      expected: quoteConstant(`check ${sql}`),
      got: valuesText(columns),
      from: `${resultingRows(look, columns)} s`,
      where,
    };
    return [{ columns, probe: where, rule }];
  });
}

/** Other unique keys: against each other and against the rows that are stored. The upsert must not swallow them. */
function otherKeyRules(look: Look): ProbedRule[] {
  const { job } = look;
  return job.plan.shape.uniqueKeys.flatMap((unique) => {
    const staged = unique.columns.every((name) => job.sql.staged.some(({ column }) => column.name === name));
    if (!unique.plain || !staged || isSameKey(unique.columns, job.sql.key)) return [];
    const probe = unique.nullsEqual ? "true" : allGiven("s", unique.columns);
    return [{ columns: unique.columns, probe, rule: otherKeyRule(look, unique) }];
  });
}

function allGiven(alias: string, columns: readonly string[]): string {
  return columns.map((column) => `${alias}.${quoteName(column)} is not null`).join(" and ");
}

function otherKeyRule(look: Look, { name, columns, nullsEqual }: UniqueKey): RejectRule {
  const { sql } = look.job;
  const rows = resultingRows(look, [...new Set([...columns, ...sql.key])]);
  const equals = nullsEqual ? "is not distinct from" : "=";
  const same = (other: string): string =>
    columns.map((column) => `${other}.${quoteName(column)} ${equals} s.${quoteName(column)}`).join(" and ");
  const otherKey = sql.key
    .map((column) => `t.${quoteName(column)} is not distinct from s.${quoteName(column)}`)
    .join(" and ");
  const duplicates = `(select ${columns.map(quoteName).join(", ")} from ${rows} r
    where ${nullsEqual ? "true" : allGiven("r", columns)}
    group by ${columns.map(quoteName).join(", ")} having count(*) > 1)`;
  return {
    code: "CONSTRAINT_UNIQUE",
    field: columns.join(", "),
    constraint: name,
    expected: quoteConstant(`no other row with the same ${columns.join(", ")}`),
    got: valuesText(columns),
    from: `${rows} s`,
    where: `exists (select from ${duplicates} w where ${same("w")})
      or exists (select from ${sql.target} t where ${same("t")} and not (${otherKey}))`,
  };
}

/** Rows whose parent is neither stored nor, where the table refers to itself, among its siblings. */
async function rejectOrphans(look: Look, foreignKey: ForeignKey, siblings: string | null): Promise<number> {
  const { columns, parentColumns, parentSql, parentTable, name } = foreignKey;
  const isParent = (alias: string): string =>
    columns
      .map((column, index) => `${alias}.${quoteName(parentColumns[index] ?? "")} = s.${quoteName(column)}`)
      .join(" and ");
  const amongSiblings = siblings === null ? "" : ` and not exists (select from ${siblings} p where ${isParent("p")})`;
  return rejectWhere(look.job, {
    code: "CONSTRAINT_FK",
    field: columns.join(", "),
    constraint: name,
    expected: quoteConstant(
      `a row of ${parentTable} with this ${parentColumns.join(", ")}, stored before or in this batch`,
    ),
    got: valuesText(columns),
    from: `${resultingRows(look, columns)} s`,
    where: `${columns.map((column) => `s.${quoteName(column)} is not null`).join(" and ")}
      and not exists (select from ${parentSql} p where ${isParent("p")})${amongSiblings}`,
  });
}
