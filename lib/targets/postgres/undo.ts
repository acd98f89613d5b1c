import { quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import type { TableJob } from "./table-job.ts";

/** What a rollback needs, kept whether or not a table is audited. Images are packed: a ledger row for each is slow. */

const keysInPack = 5_000;
/** Whole rows are larger than keys: a pack stays below a few megabytes. */
const rowsInPack = 500;

const columns = "(batch_id, epoch, table_name, operation, rows, row_keys, old_rows)";

/** The keys of the rows that are about to be inserted. */
export async function keepInsertedKeys(job: TableJob): Promise<void> {
  const { tx, sql, run, plan } = job;
  await tx.unsafe(`
    insert into table_loader.undo_images ${columns}
    select p.batch_id, p.epoch, ${quoteConstant(plan.table)}, 'insert', g.rows, g.row_keys, null
    from (
      select count(*)::int as rows, ${packedKeys(job, sql.typed)} as row_keys
      from ${job.rows("insert")}
      group by s._tl_item, s._tl_record / ${keysInPack}
    ) g, table_loader.plans p
    where p.plan_id = ${run.planId}
  `);
}

/** Locks the rows to change, in key order, and keeps what they are. Answers their number. */
export async function keepOldRows(job: TableJob): Promise<number> {
  const { tx, sql, run, plan } = job;
  const [kept] = await tx.unsafe<{ rows: number }[]>(`
    with locked as (
      select ${sql.key.map((name, index) => `t.${quoteName(name)} as k${index}`).join(", ")}, row_to_json(t.*) as old_row
      from ${job.rows("update")}
      join ${sql.target} t on ${sql.sameKey}
      order by ${sql.key.map((name) => `t.${quoteName(name)}`).join(", ")}
      for no key update of t
    ),
    placed as (select l.*, row_number() over () as place from locked l),
    packed as (
      insert into table_loader.undo_images ${columns}
      select p.batch_id, p.epoch, ${quoteConstant(plan.table)}, 'update', g.rows, g.row_keys, g.old_rows
      from (
        select count(*)::int as rows, ${packedKeys(job, (_, index) => `k${index}`, " order by place")} as row_keys,
               json_agg(old_row order by place) as old_rows
        from placed group by place / ${rowsInPack}
      ) g, table_loader.plans p
      where p.plan_id = ${run.planId}
      returning rows
    )
    select coalesce(sum(rows), 0)::int as rows from packed
  `);
  return kept?.rows ?? 0;
}

/** By each column of the natural key its texts: an array of plain texts is made three times as fast as objects are. */
function packedKeys({ sql }: TableJob, value: (name: string, index: number) => string, order = ""): string {
  const arrays = sql.key.map(
    (name, index) => `${quoteConstant(name)}, to_json(array_agg(${value(name, index)}::text${order}))`,
  );
  return `json_build_object(${arrays.join(", ")})`;
}
