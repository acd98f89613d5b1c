import type postgres from "postgres";
import type { Column } from "../../core/catalog.ts";
import { sqlStateOf } from "../../core/classify-error.ts";
import type { Plan, PlanBody, TablePlan } from "../../core/plan.ts";
import type { SlicePlace, SliceSink } from "../../core/target.ts";
import type { WorkItem } from "../../core/work-item.ts";
import { qualifiedName, quoteName, stagingSchema, stagingTableOf } from "../../postgres/sql-names.ts";
import { inOneMessage, type Tx } from "../../postgres/transaction.ts";
import { conversionsOf } from "./encode/record-to-row.ts";

/**
 * A column of the staging table. It has its own type if `exact`, that is if the transform's check is exact; otherwise
 * values are staged as text and the server judges them.
 */
export type StagedColumn = { readonly column: Column; readonly index: number; readonly exact: boolean };

export function stagedColumns(plan: TablePlan): StagedColumn[] {
  const conversions = conversionsOf(plan);
  return plan.columns.map((column, index) => ({ column, index, exact: conversions[index]?.exact ?? false }));
}

/** The items whose rows lie in the table's staging. */
export function stagedItems(items: readonly WorkItem[], { table }: TablePlan): WorkItem[] {
  return items.filter((item) => item.table === table && item.kind === "fragment");
}

/**
 * Creates the staging tables that are missing. The locks come first, so that no statement waits once a table is begun
 * (see `inOneMessage`). Only one session creates at a time; otherwise the table would be rolled back if another session
 * creates it at the same moment.
 */
export async function createStaging(sql: postgres.Sql, planId: number, body: PlanBody): Promise<void> {
  const turn = `select pg_advisory_xact_lock(hashtextextended('${stagingSchema}', ${planId}))`;
  for (const statements of createStagingSql(planId, body)) await inOneMessage(sql, [turn, ...statements]);
}

/** The statements that create the staging table, for each table of the plan. */
export function createStagingSql(planId: number, body: PlanBody): string[][] {
  return body.tables.map((plan, index) => [
    `lock table only ${qualifiedName(plan.shape.schema, plan.table)} in access share mode`,
    createTableSql(stagingTableOf(planId, index), plan),
  ]);
}

/**
 * Unlogged, because records can be staged again from the objects, so the server need not write them twice. Columns are
 * selected from the target to get its collations, which may decide whether two keys are equal.
 */
function createTableSql(table: string, plan: TablePlan): string {
  const columns = stagedColumns(plan).map(({ column, exact }) => {
    const name = quoteName(column.name);
    return exact ? `t.${name}` : `null::text as ${name}`;
  });
  const own = ["0::bigint as _tl_item", "0::bigint as _tl_record", "null::text as _tl_absent"];
  const target = qualifiedName(plan.shape.schema, plan.table);
  return `create unlogged table if not exists ${table} as select ${[...own, ...columns].join(", ")} from ${target} t with no data`;
}

/** Milliseconds to wait for a worker that still copies into a table, before it is emptied or dropped. */
const copyPatience = 2_000;

/** Empties the plan's staging to free its disk space. A worker that is still copying runs out of space, too. */
export async function emptyStaging(sql: postgres.Sql, planId: number, body: PlanBody): Promise<void> {
  const tables = body.tables.map((_, index) => stagingTableOf(planId, index));
  await inOneMessage(sql, [`truncate ${tables.join(", ")}`], { lockMilliseconds: copyPatience });
}

/** Drops the plan's staging tables, if there are any. */
export async function dropStaging(tx: Tx, planId: number): Promise<void> {
  const tables = await tx<{ name: string }[]>`
    select tablename as name from pg_tables
    where schemaname = ${stagingSchema} and tablename like ${`p${planId}\\_%`}
  `;
  if (tables.length === 0) return;
  const [settings] = await tx<{ patience: string }[]>`select current_setting('lock_timeout') as patience`;
  for (const { name } of tables) await dropUnlocked(tx, name);
  await tx`select set_config('lock_timeout', ${settings?.patience ?? "0"}, true)`;
}

/**
 * Drops a table unless it stays locked. A worker that was frozen in the middle of COPY locks its table until the server
 * ends its session: that is not waited for, as the table belongs to no plan any more and the sweep drops it later.
 */
async function dropUnlocked(tx: Tx, name: string): Promise<void> {
  await tx.unsafe(`savepoint drop_staging; set local lock_timeout = '${copyPatience / 1000}s'`);
  try {
    await tx.unsafe(`drop table if exists ${qualifiedName(stagingSchema, name)}`);
  } catch (error) {
    if (!stillLocked.has(sqlStateOf(error) ?? "")) throw error;
    await tx.unsafe("rollback to drop_staging");
  }
  await tx.unsafe("release drop_staging");
}

/** Lock not available; deadlock detected, if the worker in turn waits for the batch row that this session locks. */
const stillLocked: ReadonlySet<string> = new Set(["55P03", "40P01"]);

/** The ids of items that lack rows: a crash or failover of the server empties unlogged tables. */
export async function missingRows(tx: Tx, plan: Plan, items: readonly WorkItem[]): Promise<number[]> {
  const missing: number[] = [];
  for (const [index, table] of plan.body.tables.entries()) {
    const rows = await tx.unsafe<{ item: number; rows: number }[]>(
      `select _tl_item as item, count(*) as rows from ${stagingTableOf(plan.planId, index)} group by _tl_item`,
    );
    const counts = new Map(rows.map(({ item, rows: count }) => [item, count]));
    for (const { itemId, records, rejected } of stagedItems(items, table)) {
      if ((counts.get(itemId) ?? 0) !== records - rejected) missing.push(itemId);
    }
  }
  return missing;
}

/** Deletes the remaining staged rows of items that are staged again. */
export async function forgetRows(tx: Tx, plan: Plan, items: readonly number[]): Promise<void> {
  for (const index of plan.body.tables.keys()) {
    await tx.unsafe(`delete from ${stagingTableOf(plan.planId, index)} where _tl_item = any($1::bigint[])`, [
      [...items],
    ]);
  }
}

/**
 * Opens COPY into one staging table; it takes text in COPY's own format, with backpressure. An error that the server
 * sends after the last byte reaches only the query's promise, which the driver has resolved with the stream by then: so
 * the query's `reject` is replaced.
 */
export async function openCopy(tx: Tx, { planId, plan, index }: SlicePlace): Promise<SliceSink> {
  const names = ["_tl_item", "_tl_record", "_tl_absent", ...plan.columns.map(({ name }) => name)].map(quoteName);
  const query = tx.unsafe(`copy ${stagingTableOf(planId, index)} (${names.join(", ")}) from stdin`);
  const stream = await query.writable();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  Object.assign(query, { reject: failed.reject });
  stream.on("error", failed.reject);
  const orFailed = (start: (resolve: () => void) => void): Promise<void> => {
    const reached = Promise.withResolvers<void>();
    start(reached.resolve);
    return Promise.race([reached.promise, failed.promise]);
  };
  return {
    // The callback's error is ignored: the stream's `error` event reports it, too.
    write: (lines) => orFailed((resolve) => stream.write(lines, () => resolve())),
    end: () =>
      orFailed((resolve) => {
        stream.once("finish", resolve);
        stream.end();
      }),
    abort: async () => {
      stream.destroy(new Error("the loader gave the slice up"));
      await failed.promise.catch(() => undefined);
    },
  };
}
