import type postgres from "postgres";
import type { ColumnType, IntervalUnit } from "../../core/catalog.ts";

/** Reads the types of columns down to what they are made of: a domain's base, an array's element, a range's bound. */

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

/** `notNull` is true where the type is a domain that does not admit null. */
export type ReadType = (oid: number, typmod: number) => { readonly type: ColumnType; readonly notNull: boolean };

/** The types of all columns of the tables. A type modifier goes with an array's element, and a domain has its own. */
export async function readTypes(sql: postgres.Sql, schema: string, tables: string[]): Promise<ReadType> {
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
/** The bit of each unit in an interval's modifier, from the smallest. */
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
