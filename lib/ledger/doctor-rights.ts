import type { MissingRight, RightsFacts } from "../core/doctor.ts";
import { controlTables, controlViews } from "./control-relations.ts";
import type { Tx } from "./transaction.ts";

/** What the role that logs in lacks, and what it has beyond its work. Asked of the server, and not tried. */
export async function readRights(tx: Tx, schema: string, tables: readonly string[]): Promise<RightsFacts> {
  const targets = tables.map((table): [string, string] => [schema, table]);
  const [login] = await tx<{ role: string; special: string | null }[]>`
    select rolname::text as role,
           case when rolsuper then 'superuser' when rolbypassrls then 'bypassrls' when rolcreaterole then 'createrole' end
             as special
    from pg_roles where rolname = current_user
  `;
  return {
    role: login?.role ?? "",
    missing: [
      ...(await missingOnSchemas(tx, schema)),
      ...(await missingOnRelations(tx, [...controlTables.map(split), ...targets], rowRights)),
      ...(await missingOnRelations(tx, controlViews.map(split), ["select"])),
      ...(await missingOnSequences(tx, targets)),
    ],
    excessive: [...(login?.special ? [login.special] : []), ...(await structureRights(tx, schema, tables))],
  };
}

const rowRights = ["select", "insert", "update", "delete"];

type Relation = readonly [schema: string, name: string];

function split(qualified: string): Relation {
  const [schema = "", name = ""] = qualified.split(".");
  return [schema, name];
}

async function missingOnSchemas(tx: Tx, schema: string): Promise<MissingRight[]> {
  const names = [...new Set([schema, "public", "table_loader", "table_loader_staging"])];
  const rows = await tx<MissingRight[]>`
    select 'schema ' || quote_ident(n.nspname) as object,
           array(select r.name from unnest(array['usage', 'create']) as r(name)
                 where (r.name = 'usage' or n.nspname = 'table_loader_staging')
                   and not has_schema_privilege(n.oid, r.name)) as rights
    from pg_namespace n where n.nspname = any(${names}::text[]) order by 1
  `;
  return rows.filter(({ rights }) => rights.length > 0);
}

async function missingOnRelations(tx: Tx, relations: readonly Relation[], rights: string[]): Promise<MissingRight[]> {
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

/** Those that the defaults of a target's columns ask; of an identity column, nobody needs a right. */
async function missingOnSequences(tx: Tx, targets: readonly Relation[]): Promise<MissingRight[]> {
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
    -- in this order: asked of anything but a sequence, it is an error
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
