import { quoteConstant, quoteName } from "../../postgres/sql-names.ts";
import { type Effect, insertInto, type TableJob } from "./table-job.ts";

/** Keeps the images that a rollback needs, audited or not. They are packed: one ledger row for each would be slow. */

const keysInPack = 5_000;
/** Whole rows are larger than keys: a pack stays below a few megabytes. */
const rowsInPack = 500;

/** The keys of the rows that are about to be inserted. */
export async function keepInsertedKeys(job: TableJob): Promise<void> {
  const { tx, sql, run } = job;
  await tx.unsafe(
    `${insertImage(job, "insert", "null")}
    from (
      select count(*)::int as rows, ${packedKeys(job, sql.typed)} as row_keys
      from ${job.rows("insert")}
      group by s._tl_item, s._tl_record / ${keysInPack}
    ) g`,
    [run.batchId],
  );
}

/** Locks the rows to update, in key order, and keeps them as they are. Answers their number. */
export async function keepOldRows(job: TableJob): Promise<number> {
  const { tx, sql, run, sinks } = job;
  const [kept] = await tx.unsafe<{ rows: number }[]>(
    `
    with locked as (
      select ${sql.key.map((name, index) => `t.${quoteName(name)} as k${index}`).join(", ")}, row_to_json(t.*) as old_row
      from ${job.rows("update")}
      join ${sql.target} t on ${sql.sameKey}
      order by ${sql.key.map((name) => `t.${quoteName(name)}`).join(", ")}
      for no key update of t
    ),
    placed as (select l.*, row_number() over () as place from locked l),
    packed as (
      ${insertImage(job, "update", "g.old_rows")}
      from (
        select count(*)::int as rows, ${packedKeys(job, (_, index) => `k${index}`, " order by place")} as row_keys,
               json_agg(old_row order by place) as old_rows
        from placed group by place / ${rowsInPack}
      ) g
      returning ${sinks.images.columns.rows} as rows
    )
    select coalesce(sum(rows), 0)::int as rows from packed
  `,
    [run.batchId],
  );
  return kept?.rows ?? 0;
}

/** Inserts packs from the alias `g`; the batch is the statement's only parameter. */
function insertImage({ run, plan, sinks }: TableJob, operation: Effect, oldRows: string): string {
  return insertInto(sinks.images, {
    batch: "$1",
    epoch: String(run.epoch),
    table: quoteConstant(plan.table),
    operation: `'${operation}'`,
    rows: "g.rows",
    keys: "g.row_keys",
    oldRows,
  });
}

/** An object with an array of texts for each key column, which is built three times as fast as an array of objects. */
function packedKeys({ sql }: TableJob, value: (name: string, index: number) => string, order = ""): string {
  const arrays = sql.key.map(
    (name, index) => `${quoteConstant(name)}, to_json(array_agg(${value(name, index)}::text${order}))`,
  );
  return `json_build_object(${arrays.join(", ")})`;
}
