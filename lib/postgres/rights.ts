import type { MissingRight } from "../core/doctor.ts";
import type { Tx } from "./transaction.ts";

/** Rights that the current role lacks, read from the catalog without trying them. Objects that do not exist are left out. */

export type RelationName = readonly [schema: string, name: string];

export const rowRights = ["select", "insert", "update", "delete"];

export async function missingOnSchemas(tx: Tx, schemas: string[], rights: string[]): Promise<MissingRight[]> {
  const rows = await tx<MissingRight[]>`
    select 'schema ' || quote_ident(n.nspname) as object,
           array(select r.name from unnest(${rights}::text[]) as r(name)
                 where not has_schema_privilege(n.oid, r.name)) as rights
    from pg_namespace n where n.nspname = any(${schemas}::text[]) order by 1
  `;
  return rows.filter(({ rights: missing }) => missing.length > 0);
}

export async function missingOnRelations(
  tx: Tx,
  relations: readonly RelationName[],
  rights: string[],
): Promise<MissingRight[]> {
  const rows = await tx<MissingRight[]>`
    select format('table %I.%I', n.nspname, c.relname) as object,
           array(select r.name from unnest(${rights}::text[]) as r(name)
                 where not has_table_privilege(c.oid, r.name)) as rights
    from unnest(${relations.map(([schema]) => schema)}::text[], ${relations.map(([, name]) => name)}::text[])
      as w(schema, name)
    join pg_namespace n on n.nspname = w.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = w.name
    where c.relkind in ('r', 'p', 'v')
    order by 1
  `;
  return rows.filter(({ rights: missing }) => missing.length > 0);
}
