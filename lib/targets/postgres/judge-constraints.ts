import { type Column, type ForeignKey, isSameKey, type UniqueKey } from "../../core/catalog.ts";
import { quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { drawsFromSequence, type Expressions } from "./expressions.ts";
import { markRejected } from "./judge-records.ts";
import { type Effect, type RejectRule, rejectWhere, type TableJob, valuesText } from "./table-job.ts";

/**
 * The judge's second look: tests the rows as they would be stored against the table's constraints, set-based. Parents
 * of this batch are merged before their children are judged, so a foreign key is looked up in the parent table alone.
 */
export async function judgeConstraints(job: TableJob, effects: readonly Effect[]): Promise<void> {
  const look: Look = { job, effects };
  await rejectBroken(look, [...nullRules(look), ...checkRules(look), ...otherKeyRules(look)]);
  const isOwn = ({ parentSql }: ForeignKey): boolean => parentSql === job.sql.target;
  const { foreignKeys } = job.plan.shape;
  let found = 0;
  for (const foreignKey of foreignKeys) {
    if (!isOwn(foreignKey)) found += await rejectOrphans(look, foreignKey, null);
  }
  if (found > 0) await markRejected(job);
  await rejectOwnOrphans(look, foreignKeys.filter(isOwn));
}

/** A job, and the effects that its records have: only their rows are looked at. */
type Look = { readonly job: TableJob; readonly effects: readonly Effect[] };

/** A rule, the columns it looks at, and a condition that is true for some resulting row if the rule may find any. */
type ProbedRule = { readonly columns: readonly string[]; readonly probe: string; readonly rule: RejectRule };

/**
 * Usually no row breaks a rule, and one pass over the rows tells that of all rules at once. Only rules whose probe is
 * true for some row are run.
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

/** In a table that refers to itself only surviving rows are parents: this comes last, until no more are rejected. */
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

/** The value that would be stored, but never one drawn from a sequence. */
function resultOf({ sql }: TableJob, column: Column, effect: Effect): string {
  if (effect === "update") return sql.updated(column);
  if (!drawsFromSequence(column)) return sql.inserted(column);
  return isStaged(sql, column.name) ? sql.typed(column.name) : `null::${column.type.sql}`;
}

function isStaged({ staged }: Expressions, name: string): boolean {
  return staged.some(({ column }) => column.name === name);
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

/** A column that a sequence fills may be absent, but not null; generated columns are left to the server. */
function nullRules(look: Look): ProbedRule[] {
  const { sql, plan } = look.job;
  return plan.shape.columns.flatMap((column) => {
    if (!column.notNull || column.generated || sql.key.includes(column.name)) return [];
    const staged = isStaged(sql, column.name);
    if (drawsFromSequence(column) && !staged) return [];
    const filled = drawsFromSequence(column) ? `not ${sql.absent(column.name)} and ` : "";
    const where = `${filled}s.${quoteName(column.name)} is null`;
    const rule: RejectRule = {
      code: "VALUE_NOT_NULL",
      field: column.name,
      expected: quoteConstant(`a value of type ${column.type.sql}: the column is not null`),
      got: staged ? `case when ${sql.absent(column.name)} then 'no such field' else 'null' end` : "'no such field'",
      from: `${resultingRows(look, [column.name])} s`,
      where,
    };
    return [{ columns: [column.name], probe: where, rule }];
  });
}

/** The constraint's own expression over the resulting row; generated columns are left to the server. */
function checkRules(look: Look): ProbedRule[] {
  const { plan } = look.job;
  const generated = new Set(plan.shape.columns.filter((column) => column.generated).map(({ name }) => name));
  return plan.shape.checks.flatMap(({ name, sql, columns }) => {
    if (columns.length === 0 || columns.some((column) => generated.has(column))) return [];
    const values = columns.map(resultingValue).join(", ");
    const where = `(select ${sql} from (select ${values}) as ${quoteName(plan.table)}) is false`;
    const rule: RejectRule = {
      code: "CONSTRAINT_CHECK",
      field: columns.join(", "),
      constraint: name,
      expected: quoteConstant(`check ${sql}`),
      got: valuesText(columns, resultingValue),
      from: `${resultingRows(look, columns)} s`,
      where,
    };
    return [{ columns, probe: where, rule }];
  });
}

/** Unique keys besides the natural one, among the rows and against stored ones. The upsert must hide no conflict. */
function otherKeyRules(look: Look): ProbedRule[] {
  const { job } = look;
  return job.plan.shape.uniqueKeys.flatMap((unique) => {
    const staged = unique.columns.every((name) => isStaged(job.sql, name));
    if (!unique.plain || !staged || isSameKey(unique.columns, job.sql.key)) return [];
    const probe = unique.nullsEqual ? "true" : allGiven("s", unique.columns);
    return [{ columns: unique.columns, probe, rule: otherKeyRule(look, unique) }];
  });
}

function otherKeyRule(look: Look, { name, columns, nullsEqual }: UniqueKey): RejectRule {
  const { sql } = look.job;
  const rows = resultingRows(look, [...new Set([...columns, ...sql.key])]);
  const same = (alias: string): string => allEqual(alias, columns, nullsEqual ? "is not distinct from" : "=");
  const sameKey = allEqual("t", sql.key, "is not distinct from");
  const duplicates = `(select ${columns.map(quoteName).join(", ")} from ${rows} r
    where ${nullsEqual ? "true" : allGiven("r", columns)}
    group by ${columns.map(quoteName).join(", ")} having count(*) > 1)`;
  return {
    code: "CONSTRAINT_UNIQUE",
    field: columns.join(", "),
    constraint: name,
    expected: quoteConstant(`no other row with the same ${columns.join(", ")}`),
    got: valuesText(columns, resultingValue),
    from: `${rows} s`,
    where: `exists (select from ${duplicates} w where ${same("w")})
      or exists (select from ${sql.target} t where ${same("t")} and not (${sameKey}))`,
  };
}

/** Rejects rows whose parent is neither stored nor, if the table refers to itself, among `siblings`. */
async function rejectOrphans(look: Look, foreignKey: ForeignKey, siblings: string | null): Promise<number> {
  const { columns, parentColumns, parentSql, parentTable, name } = foreignKey;
  const isParent = (alias: string): string => allEqual(alias, parentColumns, "=", columns);
  const amongSiblings = siblings === null ? "" : ` and not exists (select from ${siblings} p where ${isParent("p")})`;
  return rejectWhere(look.job, {
    code: "CONSTRAINT_FK",
    field: columns.join(", "),
    constraint: name,
    expected: quoteConstant(
      `a row of ${parentTable} with this ${parentColumns.join(", ")}, stored before or in this batch`,
    ),
    got: valuesText(columns, resultingValue),
    from: `${resultingRows(look, columns)} s`,
    where: `${allGiven("s", columns)}
      and not exists (select from ${parentSql} p where ${isParent("p")})${amongSiblings}`,
  });
}

const resultingValue = (column: string): string => `s.${quoteName(column)}`;

function allGiven(alias: string, columns: readonly string[]): string {
  return columns.map((column) => `${alias}.${quoteName(column)} is not null`).join(" and ");
}

/** Compares columns of the alias with those of `s`, which have the same names unless `own` names others. */
function allEqual(alias: string, columns: readonly string[], equals: string, own = columns): string {
  const pairs = own.map((name, index) => `${alias}.${quoteName(columns[index] ?? "")} ${equals} s.${quoteName(name)}`);
  return pairs.join(" and ");
}
