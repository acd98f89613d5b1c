import type postgres from "postgres";
import type {
  Catalog,
  Check,
  Column,
  ColumnType,
  ForeignKey,
  IntervalUnit,
  TableShape,
  UniqueKey,
} from "../../core/catalog.ts";
import type { TargetCatalog } from "../../core/target.ts";
import { qualifiedName } from "../../postgres/sql-names.ts";
import { unsupportedReason } from "./encode/conversion-of.ts";

/** Reads the shapes of tables from PostgreSQL's own catalog, in five queries for any number of tables. */

export function openCatalog(sql: postgres.Sql, schema: string): TargetCatalog {
  return {
    read: async (tables) => {
      const wanted = [...new Set(tables)];
      const heads = await readHeads(sql, schema, wanted);
      const typeOf = await readTypes(sql, schema, wanted);
      const columns = Map.groupBy(await readColumns(sql, schema, wanted), (row) => row.table_name);
      const uniques = Map.groupBy(await readUniqueKeys(sql, schema, wanted), (row) => row.table_name);
      const constraints = Map.groupBy(await readConstraints(sql, schema, wanted), (row) => row.table_name);
      const shapes = heads.map((head): [string, TableShape] => [
        head.name,
        {
          name: head.name,
          schema,
          kind: head.kind,
          rowSecurity: head.row_security,
          columns: (columns.get(head.name) ?? []).map((row) => toColumn(row, typeOf)),
          uniqueKeys: (uniques.get(head.name) ?? []).map(
            ({ name, columns: names, plain, nullsEqual }): UniqueKey => ({ name, columns: names, plain, nullsEqual }),
          ),
          foreignKeys: (constraints.get(head.name) ?? []).flatMap(toForeignKey),
          checks: (constraints.get(head.name) ?? []).flatMap(toCheck),
          notEnforced: (constraints.get(head.name) ?? []).filter((row) => !row.enforced).map(({ name }) => name),
        },
      ]);
      return new Map(shapes) satisfies Catalog;
    },
  };
}

type HeadRow = { name: string; kind: string; row_security: boolean };

async function readHeads(sql: postgres.Sql, schema: string, tables: string[]): Promise<HeadRow[]> {
  return sql<HeadRow[]>`
    select c.relname as name, c.relkind::text as kind, c.relrowsecurity as row_security
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname = any(${tables}::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    order by c.relname
  `;
}

type ColumnRow = {
  table_name: string;
  name: string;
  not_null: boolean;
  default_sql: string | null;
  generated: boolean;
  identity: string;
  type_oid: number;
  typmod: number;
};

async function readColumns(sql: postgres.Sql, schema: string, tables: string[]): Promise<ColumnRow[]> {
  return sql<ColumnRow[]>`
    select c.relname as table_name, a.attname as name, a.attnotnull as not_null,
           coalesce(pg_get_expr(d.adbin, d.adrelid), pg_get_expr(t.typdefaultbin, 0)) as default_sql,
           a.attgenerated <> '' as generated, a.attidentity::text as identity,
           a.atttypid::int8 as type_oid, a.atttypmod as typmod
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where n.nspname = ${schema} and c.relname = any(${tables}::text[]) and a.attnum > 0 and not a.attisdropped
    order by c.relname, a.attnum
  `;
}

function toColumn(row: ColumnRow, typeOf: ReadType): Column {
  const { type, notNull } = typeOf(row.type_oid, row.typmod);
  const unsupported = unsupportedReason({ name: row.name, type });
  return {
    name: row.name,
    type,
    notNull: row.not_null || notNull,
    defaultSql: row.generated ? null : row.default_sql,
    generated: row.generated,
    identity: row.identity === "a" ? "always" : row.identity === "d" ? "by default" : null,
    ...(unsupported !== null && { unsupported }),
  };
}

type UniqueRow = UniqueKey & { readonly table_name: string };

async function readUniqueKeys(sql: postgres.Sql, schema: string, tables: string[]): Promise<UniqueRow[]> {
  return sql<UniqueRow[]>`
    select c.relname as table_name, x.relname as name,
           array(
             select coalesce(a.attname::text, '')
             from unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
             left join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum and k.attnum > 0
             where k.place <= i.indnkeyatts
             order by k.place
           ) as columns,
           i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null and not i.indisexclusion as plain,
           i.indnullsnotdistinct as "nullsEqual"
    from pg_index i
    join pg_class c on c.oid = i.indrelid
    join pg_class x on x.oid = i.indexrelid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname = any(${tables}::text[]) and (i.indisunique or i.indisexclusion)
    order by c.relname, x.relname
  `;
}

type ConstraintRow = {
  table_name: string;
  name: string;
  type: string;
  /** False for a constraint that the server does not enforce; the judge does not either. */
  enforced: boolean;
  columns: string[];
  check_sql: string | null;
  parent_schema: string | null;
  parent_table: string | null;
  parent_columns: string[] | null;
};

async function readConstraints(sql: postgres.Sql, schema: string, tables: string[]): Promise<ConstraintRow[]> {
  return sql<ConstraintRow[]>`
    select c.relname as table_name, k.conname as name, k.contype::text as type,
           -- conenforced exists since PostgreSQL 18
           coalesce((to_jsonb(k)->>'conenforced')::boolean, true) as enforced,
           array(select a.attname::text from unnest(k.conkey) with ordinality as u(attnum, place)
                 join pg_attribute a on a.attrelid = c.oid and a.attnum = u.attnum order by u.place) as columns,
           case when k.contype = 'c' then pg_get_expr(k.conbin, k.conrelid) end as check_sql,
           pn.nspname as parent_schema, p.relname as parent_table,
           array(select a.attname::text from unnest(k.confkey) with ordinality as u(attnum, place)
                 join pg_attribute a on a.attrelid = p.oid and a.attnum = u.attnum order by u.place) as parent_columns
    from pg_constraint k
    join pg_class c on c.oid = k.conrelid
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_class p on p.oid = k.confrelid
    left join pg_namespace pn on pn.oid = p.relnamespace
    where n.nspname = ${schema} and c.relname = any(${tables}::text[]) and k.contype in ('f', 'c') and k.conparentid = 0
    order by c.relname, k.conname
  `;
}

function toForeignKey(row: ConstraintRow): ForeignKey[] {
  if (row.type !== "f" || !row.enforced) return [];
  const { name, columns } = row;
  return [
    {
      name,
      columns,
      parentSql: qualifiedName(row.parent_schema ?? "", row.parent_table ?? ""),
      parentTable: row.parent_table ?? "",
      parentColumns: row.parent_columns ?? [],
    },
  ];
}

function toCheck({ type, name, enforced, check_sql: sql, columns }: ConstraintRow): Check[] {
  return type === "c" && enforced && sql !== null ? [{ name, sql, columns }] : [];
}

type TypeRow = {
  oid: number;
  typmod: number;
  name: string;
  sql: string;
  not_null: boolean;
  base_oid: number | null;
  base_typmod: number;
  element_oid: number | null;
  bound_oid: number | null;
  is_multirange: boolean;
  labels: string[] | null;
};

/** `notNull` is true if the type is a domain that does not admit null. */
type ReadType = (oid: number, typmod: number) => { readonly type: ColumnType; readonly notNull: boolean };

/**
 * Reads the types of all columns down to a domain's base, an array's element and a range's bound. A modifier of an
 * array type belongs to its element, and a domain has its own.
 */
async function readTypes(sql: postgres.Sql, schema: string, tables: string[]): Promise<ReadType> {
  const rows = await sql<TypeRow[]>`
    with recursive reached as (
      select a.atttypid as oid, a.atttypmod as typmod
      from pg_attribute a
      join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${schema} and c.relname = any(${tables}::text[]) and a.attnum > 0 and not a.attisdropped
      union
      select part.oid, part.typmod
      from reached r
      join pg_type t on t.oid = r.oid
      left join pg_type el on el.typarray = t.oid
      left join pg_range g on t.oid in (g.rngtypid, g.rngmultitypid)
      cross join lateral (values (t.typbasetype, t.typtypmod), (el.oid, r.typmod), (g.rngsubtype, -1)) as part(oid, typmod)
      where part.oid <> 0
    )
    select r.oid::int8, r.typmod, format_type(r.oid, r.typmod) as sql, t.typnotnull as not_null,
           case
             when t.typtype = 'c' then 'record'
             when n.nspname = 'pg_catalog' or x.extname = t.typname then t.typname
             else format_type(r.oid, null)
           end as name,
           nullif(t.typbasetype, 0)::int8 as base_oid, t.typtypmod as base_typmod, el.oid::int8 as element_oid,
           g.rngsubtype::int8 as bound_oid, t.typtype = 'm' as is_multirange,
           (select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid) as labels
    from reached r
    join pg_type t on t.oid = r.oid
    join pg_namespace n on n.oid = t.typnamespace
    left join pg_type el on el.typarray = t.oid
    left join pg_range g on t.oid in (g.rngtypid, g.rngmultitypid)
    left join pg_depend d on d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'
    left join pg_extension x on x.oid = d.refobjid
  `;
  const byKey = new Map(rows.map((row) => [keyOf(row.oid, row.typmod), row]));
  const read: ReadType = (oid, typmod) => toType(byKey.get(keyOf(oid, typmod)) as TypeRow, read);
  return read;
}

function keyOf(oid: number, typmod: number): string {
  return `${oid} ${typmod}`;
}

function toType(row: TypeRow, read: ReadType): ReturnType<ReadType> {
  const { sql } = row;
  if (row.base_oid !== null) {
    const base = read(row.base_oid, row.base_typmod);
    return { type: { ...base.type, sql, domain: sql }, notNull: row.not_null || base.notNull };
  }
  const element = row.element_oid === null ? null : read(row.element_oid, row.typmod).type;
  const bound = row.bound_oid === null ? null : read(row.bound_oid, -1).type;
  const range = bound && { bound, isMultirange: row.is_multirange };
  const type = { name: row.name, sql, ...modifiersOf(row), enumLabels: row.labels, element, range, domain: null };
  return { type, notNull: false };
}

type Modifiers = Pick<ColumnType, "length" | "precision" | "scale" | "fractionDigits" | "smallestUnit">;
const unmodified: Modifiers = { length: null, precision: null, scale: null, fractionDigits: null, smallestUnit: null };

/** PostgreSQL packs length, precision and scale into the type modifier, some with an offset of 4. */
function modifiersOf({ name, typmod }: TypeRow): Modifiers {
  if (typmod < 0) return unmodified;
  switch (name) {
    case "varchar":
    case "bpchar":
      return { ...unmodified, length: typmod - 4 };
    case "bit":
    case "varbit":
      return { ...unmodified, length: typmod };
    case "numeric": {
      const [precision, scale] = [((typmod - 4) >> 16) & 0xffff, (((typmod - 4) & 0x7ff) ^ 1024) - 1024];
      return { ...unmodified, precision, scale };
    }
    case "time":
    case "timetz":
    case "timestamp":
    case "timestamptz":
      return { ...unmodified, fractionDigits: typmod };
    case "interval":
      return { ...unmodified, ...intervalModifiersOf(typmod) };
    default:
      return unmodified;
  }
}

const everyDigit = 0xffff;
const everyUnit = 0x7fff;
/** The bit of each unit in an interval's modifier, from the smallest; null for seconds. */
const intervalBits: readonly (readonly [bit: number, unit: IntervalUnit | null])[] = [
  [12, null],
  [11, "minute"],
  [10, "hour"],
  [3, "day"],
  [1, "month"],
  [2, "year"],
];

function intervalModifiersOf(typmod: number): Pick<Modifiers, "fractionDigits" | "smallestUnit"> {
  const digits = typmod & everyDigit;
  const units = (typmod >> 16) & everyUnit;
  const smallest = intervalBits.find(([bit]) => (units & (1 << bit)) !== 0);
  return { fractionDigits: digits === everyDigit ? null : digits, smallestUnit: smallest?.[1] ?? null };
}
