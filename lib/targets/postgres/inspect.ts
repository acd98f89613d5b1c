import type { MissingRight, UnindexedKey } from "../../core/doctor.ts";
import type { TargetRights } from "../../core/target.ts";
import { missingOnRelations, missingOnSchemas, type RelationName, rowRights } from "../../postgres/rights.ts";
import type { Tx } from "../../postgres/transaction.ts";

/** Reads the facts about target tables that doctor reports. */

export async function readTargetRights(tx: Tx, schema: string, tables: readonly string[]): Promise<TargetRights> {
  const targets = tables.map((table): RelationName => [schema, table]);
  return {
    missing: [
      ...(await missingOnSchemas(tx, [schema], ["usage"])),
      ...(await missingOnRelations(tx, targets, rowRights)),
      ...(await missingOnSequences(tx, targets)),
    ],
    excessive: await structureRights(tx, schema, tables),
  };
}

/** Sequences that the defaults of a target's columns use. An identity column needs no right on its sequence. */
async function missingOnSequences(tx: Tx, targets: readonly RelationName[]): Promise<MissingRight[]> {
  const rows = await tx<{ object: string }[]>`
    select distinct format('sequence %I.%I', sn.nspname, s.relname) as object
    from unnest(${targets.map(([schema]) => schema)}::text[], ${targets.map(([, name]) => name)}::text[])
      as w(schema, name)
    join pg_namespace n on n.nspname = w.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = w.name
    join pg_attrdef ad on ad.adrelid = c.oid
    join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = ad.oid and d.refclassid = 'pg_class'::regclass
    join pg_class s on s.oid = d.refobjid
    join pg_namespace sn on sn.oid = s.relnamespace
    -- in this order: the function raises an error for anything but a sequence
    where case when s.relkind = 'S' then not has_sequence_privilege(s.oid, 'usage') else false end
    order by 1
  `;
  return rows.map(({ object }) => ({ object, rights: ["usage"] }));
}

async function structureRights(tx: Tx, schema: string, tables: readonly string[]): Promise<string[]> {
  const rows = await tx<{ reason: string }[]>`
    select 'creates in schema ' || quote_ident(nspname) as reason
    from pg_namespace where nspname = ${schema} and has_schema_privilege(oid, 'create')
    union all
    select format('owns table %I.%I', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname = any(${[...tables]}::text[]) and pg_has_role(c.relowner, 'usage')
    order by 1
  `;
  return rows.map(({ reason }) => reason);
}

/** Foreign keys whose columns are not the first ones of any index. */
export async function readUnindexed(tx: Tx, schema: string, tables: readonly string[]): Promise<UnindexedKey[]> {
  const rows = await tx<UnindexedKey[]>`
    select c.relname as "table", k.conname as "constraint",
           array(select a.attname::text from unnest(k.conkey) with ordinality as u(attnum, place)
                 join pg_attribute a on a.attrelid = c.oid and a.attnum = u.attnum order by u.place) as columns
    from pg_constraint k
    join pg_class c on c.oid = k.conrelid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname = any(${[...tables]}::text[]) and k.contype = 'f' and k.conparentid = 0
      and not exists (
        select from pg_index i
        where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null
          -- an int2vector counts from 0; the key's columns may come in any order
          and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
    order by 1, 2
  `;
  return [...rows];
}
