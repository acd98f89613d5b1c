import fc from "fast-check";
import { pick } from "./arbitrary-shape.ts";
import { breaksCheck, uniqueMark } from "./oracle-judge.ts";
import { type Good, pools, type Written } from "./values.ts";
import {
  type Case,
  type ColumnSettings,
  type ColumnSpec,
  type Content,
  type ContractSpec,
  defaultNulls,
  markOf,
  type RecordSpec,
  type Row,
  type TableSpec,
} from "./world.ts";

/** Random contracts, stored rows and batches, as choices that are read for a table. */

const absent = -2;
const nothing = -1;
const firstBad = 100;
/** A key that follows from the record's place, so that most records of a batch differ and meet a stored row. */
const byPlace = 1000;
const choice = fc.nat({ max: 59 });
const some = fc.nat({ max: 11 });
const rarely = fc.nat({ max: 7 }).map((number) => number === 7);

const broken = fc.nat({ max: 9 }).map((number) => firstBad + number);
const cell = fc.oneof(
  { weight: 60, arbitrary: some },
  { weight: 24, arbitrary: fc.constant(absent) },
  { weight: 16, arbitrary: fc.constant(nothing) },
  { weight: 1, arbitrary: broken },
);
const keyCell = fc.oneof(
  { weight: 100, arbitrary: fc.constant(byPlace) },
  { weight: 20, arbitrary: some },
  { weight: 1, arbitrary: fc.constantFrom(absent, nothing) },
  { weight: 1, arbitrary: broken },
);
const cells = fc.record({
  key: fc.tuple(keyCell, keyCell, keyCell),
  others: fc.array(cell, { minLength: 12, maxLength: 12 }),
});
type Cells = { readonly key: readonly number[]; readonly others: readonly number[] };

const recordChoices = fc.record({
  cells,
  /** Which stored row or earlier record it repeats, and which of its fields are its own all the same. */
  like: fc.oneof(
    { weight: 16, arbitrary: fc.constant(null) },
    { weight: 12, arbitrary: fc.record({ stored: fc.constant(true), place: some, own: fc.nat({ max: 4095 }) }) },
    { weight: 2, arbitrary: fc.record({ stored: fc.boolean(), place: some, own: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ stored: fc.constant(false), place: some, own: fc.nat({ max: 4095 }) }) },
  ),
  unknown: fc.oneof({ weight: 30, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 3 }) }),
  stamp: rarely,
});
type RecordChoices = typeof recordChoices extends fc.Arbitrary<infer Choices> ? Choices : never;

const noNames: number[] = [];
const nullLists: (string[] | undefined)[] = [undefined, undefined, [], ["NA"], ["a", "NULL"]];

const contractChoices = fc.record({
  strategy: fc.constantFrom("upsert", "upsert", "upsert", "insert_only", "update_only"),
  resolution: fc.constantFrom("merge", "merge", "replace", "replace", "newest", "newest", "skip"),
  newerBy: choice,
  immutable: fc.array(choice, { maxLength: 2 }),
  required: fc.oneof(
    { weight: 6, arbitrary: fc.constant(noNames) },
    { weight: 1, arbitrary: fc.array(choice, { maxLength: 2 }) },
  ),
  unknown: fc.constantFrom("reject", "ignore", "rescue"),
  nulls: fc.constantFrom(...nullLists),
  audit: fc.boolean(),
  columns: fc.array(fc.record({ column: choice, setting: choice }), { maxLength: 3 }),
});
type ContractChoices = typeof contractChoices extends fc.Arbitrary<infer Choices> ? Choices : never;

const contentChoices = fc.record({
  contract: contractChoices,
  stored: fc.array(cells, { maxLength: 5, size: "max" }),
  records: fc.array(recordChoices, { maxLength: 6, size: "max" }),
  split: fc.nat({ max: 6 }),
  inBatch: rarely.map((isLeftOut) => !isLeftOut),
});
type ContentChoices = typeof contentChoices extends fc.Arbitrary<infer Choices> ? Choices : never;

export const caseChoices = fc.tuple(contentChoices, contentChoices);

/** Reads the choices for the tables, parents first. The last table is always in the batch. */
export function toCase(tables: readonly TableSpec[], choices: readonly ContentChoices[]): Case {
  const made: Record<string, Content> = {};
  for (const [index, table] of tables.entries()) {
    const chosen = choices[index + choices.length - tables.length] as ContentChoices;
    const stored = storedRows(table, chosen.stored, made);
    const inBatch = chosen.inBatch || index === tables.length - 1;
    const records = inBatch ? toRecords(table, chosen.records, stored) : [];
    const fragments = inBatch ? [records.slice(0, chosen.split), records.slice(chosen.split)] : [];
    made[table.name] = { contract: toContract(table, chosen.contract), stored, fragments };
  }
  return made;
}

function writtenOf({ type }: ColumnSpec, chosen: number): Written | null {
  if (chosen < 0) return null;
  const { good, bad } = pools[type];
  return chosen >= firstBad && bad.length > 0 ? pick(bad, chosen) : pick(good, chosen);
}

/** What is chosen for a column in the n-th row or record. */
function cellOf(table: TableSpec, { name }: ColumnSpec, { cells: chosen, place }: Placed): number {
  const { columns, key, foreignKeys } = table;
  const typed = (names: readonly string[]) => columns.filter((column) => names.includes(column.name));
  const index = key.indexOf(name);
  if (index >= 0)
    return chosen.key[index] === byPlace ? (nthKey(typed(key), place)[index] ?? 0) : (chosen.key[index] ?? 0);
  const others = columns.filter((column) => !key.includes(column.name)).map((column) => column.name);
  const own = chosen.others[others.indexOf(name)] ?? absent;
  const reference = foreignKeys.find((foreignKey) => foreignKey.columns.includes(name));
  if (!reference || own < 0 || own >= firstBad) return own;
  const first = Math.max(0, chosen.others[others.indexOf(reference.columns[0] ?? "")] ?? 0);
  return nthKey(typed(reference.columns), first % keysInUse)[reference.columns.indexOf(name)] ?? own;
}

type Placed = { readonly cells: Cells; readonly place: number };

/** So many keys are drawn from to refer to: some of them are there. */
const keysInUse = 7;

/** The n-th key over these columns, as places in their pools: different keys for different numbers, as far as there are. */
function nthKey(columns: readonly ColumnSpec[], n: number): number[] {
  let rest = n;
  return columns.map(({ type }) => {
    const { good } = pools[type];
    const usual = good.flatMap(({ same, text }, index) => {
      const isFirst = good.findIndex((other) => other.same === same) === index;
      return isFirst && !defaultNulls.includes(text) ? [index] : [];
    });
    const digit = usual[rest % usual.length] ?? 0;
    rest = Math.floor(rest / usual.length);
    return digit;
  });
}

/** Rows that the table's constraints let stand beside each other. */
function storedRows(table: TableSpec, choices: readonly Cells[], others: Case): Row[] {
  const rows: Row[] = [];
  for (const [place, chosen] of choices.entries()) {
    const values = table.columns.map((column): [string, Good | null] => {
      const own = cellOf(table, column, { cells: chosen, place });
      const value = writtenOf(column, own >= firstBad ? 0 : own);
      const needed = column.notNull || (table.guard === "primary key" && table.key.includes(column.name));
      return [column.name, (value as Good | null) ?? (needed ? pick(pools[column.type].good, 0) : null)];
    });
    const row: Row = Object.fromEntries(values);
    if (canStand(table, row, { rows, others })) rows.push(row);
  }
  return rows;
}

type Stored = { readonly rows: readonly Row[]; readonly others: Case };

function canStand({ name, key, guard, checks, uniques, foreignKeys }: TableSpec, row: Row, stored: Stored): boolean {
  const { rows, others } = stored;
  const guards = guard === "none" ? [] : [{ columns: key, nullsEqual: false }];
  const isTaken = [...guards, ...uniques].some((unique) => {
    const mark = uniqueMark(row, unique);
    return mark !== null && rows.some((other) => uniqueMark(other, unique) === mark);
  });
  const isOrphan = foreignKeys.some(({ columns, parent, parentColumns }) => {
    const mark = markOf(row, columns);
    const parents = parent === name ? [...rows, row] : (others[parent]?.stored ?? []);
    return mark !== null && !parents.some((other) => markOf(other, parentColumns) === mark);
  });
  return !isTaken && !isOrphan && !checks.some((check) => breaksCheck(row, check));
}

const unknownFields: readonly Readonly<Record<string, string>>[] = [
  {},
  { extra: "1.50" },
  { more: '"x"' },
  { extra: "null", more: "[1]" },
];

function toRecords(table: TableSpec, choices: readonly RecordChoices[], stored: readonly Row[]): RecordSpec[] {
  const records: RecordSpec[] = [];
  for (const [place, { cells: chosen, like, unknown, stamp }] of choices.entries()) {
    const earlier = records.map(({ fields }) => fields);
    const model: Fields | null = (like && (like.stored ? stored[place] : earlier[like.place % earlier.length])) ?? null;
    const fields: Record<string, Written | null> = {};
    for (const [index, column] of table.columns.entries()) {
      const isOwn = !model || (!table.key.includes(column.name) && ((like?.own ?? 0) >> index) % 2 === 1);
      const own = cellOf(table, column, { cells: chosen, place });
      if (isOwn && own !== absent) fields[column.name] = writtenOf(column, own);
      if (!isOwn && column.name in model) fields[column.name] = model[column.name] ?? null;
    }
    if (stamp) fields["updated_at"] = { json: '"never read"', code: "VALUE_TYPE", constraint: null, staged: false };
    records.push({ fields, unknown: pick(unknownFields, unknown) });
  }
  return records;
}

type Fields = RecordSpec["fields"];

const settings: readonly ColumnSettings[] = [
  { immutable: true },
  { keep_if_absent: false },
  { fill_if_null: true },
  { newest: true },
  { null_values: ["b"] },
  { null_values: [] },
];

function toContract(table: TableSpec, choices: ContractChoices): ContractSpec {
  const names = table.columns.map(({ name }) => name);
  const values = table.columns.filter(({ name }) => !table.key.includes(name));
  const ranked = values.filter(({ type }) => pools[type].good.every(({ rank }) => rank !== null));
  const newerBy = ranked.length > 0 ? pick(ranked, choices.newerBy).name : null;
  const resolution = newerBy === null && choices.resolution === "newest" ? "merge" : choices.resolution;
  const unknown = table.rescue === null && choices.unknown === "rescue" ? "reject" : choices.unknown;
  const columns: Record<string, ColumnSettings> = {};
  for (const { column, setting } of choices.columns) {
    const name = pick(names, column);
    const chosen: ColumnSettings = table.key.includes(name) ? { allow_empty_key: true } : pick(settings, setting);
    if (!chosen.newest || newerBy !== null) columns[name] = { ...columns[name], ...chosen };
  }
  return {
    natural_key: table.key,
    update_strategy: choices.strategy,
    conflict_resolution: resolution,
    ...(newerBy === null ? {} : { newer_by: newerBy }),
    immutable_fields: [...new Set(choices.immutable.map((number) => pick(names, number)))],
    required_fields: [...new Set(choices.required.map((number) => pick(names, number)))],
    unknown_fields: unknown,
    ...(unknown === "rescue" && table.rescue !== null ? { rescue_column: table.rescue } : {}),
    ...(choices.nulls === undefined ? {} : { null_values: choices.nulls }),
    audit_changes: choices.audit,
    columns,
  };
}
