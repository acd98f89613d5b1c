/** The shape of target tables, from the database's own catalog. */

/** The last unit that a column of type `interval day to minute` and the like keeps. */
export type IntervalUnit = "year" | "month" | "day" | "hour" | "minute";

export type ColumnType = {
  /**
   * `pg_type.typname` of the base type: int4, numeric, varchar, timestamptz; for a domain that of its base type, for an
   * extension's or a user's type qualified if it is not on the search path, `record` for every composite type.
   */
  readonly name: string;
  /** The type as it is written in a cast, for example `numeric(10,2)` or `public.blood_type`. */
  readonly sql: string;
  /** Characters of varchar(n) and char(n), bits of bit(n) and bit varying(n). */
  readonly length: number | null;
  readonly precision: number | null;
  readonly scale: number | null;
  /** Fraction digits of time, timestamp and interval types. */
  readonly fractionDigits: number | null;
  /** The last unit that an interval type keeps; null if it keeps seconds. */
  readonly smallestUnit: IntervalUnit | null;
  readonly enumLabels: readonly string[] | null;
  readonly element: ColumnType | null;
  /** The type of the bounds of a range or multirange. */
  readonly range: { bound: ColumnType; isMultirange: boolean } | null;
  /** The domain's name if the column's type is one. */
  readonly domain: string | null;
};

export type Column = {
  readonly name: string;
  readonly type: ColumnType;
  readonly notNull: boolean;
  /** The default as SQL, or null. */
  readonly defaultSql: string | null;
  readonly generated: boolean;
  readonly identity: "always" | "by default" | null;
  /** Set if the target cannot convert values to the column's type: why, and what to do instead. */
  readonly unsupported?: string;
};

export type UniqueKey = {
  readonly name: string;
  readonly columns: readonly string[];
  /** False for deferrable, partial, expression, exclusion and invalid indexes, which cannot guard a natural key. */
  readonly plain: boolean;
  /** True if two nulls are the same (`nulls not distinct`). */
  readonly nullsEqual: boolean;
};

export type ForeignKey = {
  readonly name: string;
  readonly columns: readonly string[];
  /** Schema-qualified and quoted. */
  readonly parentSql: string;
  readonly parentTable: string;
  readonly parentColumns: readonly string[];
};

export type Check = { readonly name: string; readonly sql: string; readonly columns: readonly string[] };

export type TableShape = {
  readonly name: string;
  readonly schema: string;
  /** `pg_class.relkind`: r (table), p (partitioned), v, m, f. */
  readonly kind: string;
  readonly rowSecurity: boolean;
  readonly columns: readonly Column[];
  readonly uniqueKeys: readonly UniqueKey[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly checks: readonly Check[];
  /** Names of the constraints that the server does not enforce (`not enforced`, since PostgreSQL 18). */
  readonly notEnforced: readonly string[];
};

export type Catalog = ReadonlyMap<string, TableShape>;

export function columnOf(table: TableShape, name: string): Column | undefined {
  return table.columns.find((column) => column.name === name);
}

/** True if two lists name the same columns in any order. */
export function isSameKey(left: readonly string[], right: readonly string[]): boolean {
  const [one, other] = [new Set(left), new Set(right)];
  return one.size === other.size && [...one].every((name) => other.has(name));
}

/** True if a plain unique index holds exactly these columns. */
export function hasUniqueGuard(table: TableShape, key: readonly string[]): boolean {
  return table.uniqueKeys.some(({ plain, columns }) => plain && isSameKey(columns, key));
}
