import type { ControlFacts } from "../core/doctor.ts";
import { adoptedTables, controlTables, controlViews, migrationNames } from "./control-relations.ts";
import type { Tx } from "./transaction.ts";

export async function readControl(tx: Tx): Promise<ControlFacts> {
  const missing = await missingRelations(tx);
  const columns = await adoptedColumns(tx);
  const known = columns.filter(({ table_name: table }) => !missing.includes(`public.${table}`));
  const names = new Set(known.map(({ table_name: table, name }) => `${table}.${name}`));
  const there = new Set(known.map(({ table_name: table }) => table));
  const wanted = Object.entries(adoptedTables).filter(([table]) => there.has(table));
  return {
    pendingMigrations: await pendingMigrations(tx),
    missingRelations: missing,
    missingColumns: wanted
      .flatMap(([table, own]) => own.map((name) => `${table}.${name}`))
      .filter((column) => !names.has(column))
      .map((column) => `public.${column}`),
    requiredColumns: known
      .filter(({ table_name: table, name, required }) => required && !adoptedTables[table]?.includes(name))
      .map(({ table_name: table, name }) => `public.${table}.${name}`),
  };
}

/** `007 timeouts` */
const nameOf = (name: string, index: number): string => `${String(index + 1).padStart(3, "0")} ${name}`;

async function pendingMigrations(tx: Tx): Promise<string[]> {
  const [made] = await tx`select from pg_class where oid = to_regclass('table_loader.migrations')`;
  const ran = made ? await tx<{ version: number }[]>`select version::integer from table_loader.migrations` : [];
  const versions = new Set(ran.map(({ version }) => version));
  return migrationNames.flatMap((name, index) => (versions.has(index + 1) ? [] : [nameOf(name, index)]));
}

async function missingRelations(tx: Tx): Promise<string[]> {
  const rows = await tx<{ name: string }[]>`
    select w.name
    from unnest(${[...controlTables, ...controlViews]}::text[]) as w(name)
    where not exists (
      select from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = split_part(w.name, '.', 1) and c.relname = split_part(w.name, '.', 2))
    order by 1
  `;
  return rows.map(({ name }) => name);
}

type ColumnRow = { readonly table_name: string; readonly name: string; readonly required: boolean };

async function adoptedColumns(tx: Tx): Promise<ColumnRow[]> {
  const rows = await tx<ColumnRow[]>`
    select c.relname as table_name, a.attname as name,
           a.attnotnull and not a.atthasdef and a.attidentity = '' as required
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relname = any(${Object.keys(adoptedTables)}::text[])
      and a.attnum > 0 and not a.attisdropped
    order by 1, a.attnum
  `;
  return [...rows];
}
