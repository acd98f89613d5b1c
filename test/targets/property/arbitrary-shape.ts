import fc from "fast-check";
import { type Good, pools, type TypeName, typeNames } from "./values.ts";
import type { CheckSpec, ColumnSpec, ForeignKeySpec, TableSpec, UniqueSpec } from "./world.ts";

/**
 * Random tables. Choices are drawn as plain numbers, and read as columns and types afterwards: so every choice shrinks
 * by itself, and what is left of a failing table stays a table.
 */

const choice = fc.nat({ max: 59 });
const rarely = fc.nat({ max: 3 }).map((number) => number === 3);

const rarer = fc.nat({ max: 7 }).map((number) => number === 7);

const shapeChoices = fc.record({
  keyTypes: fc.oneof(
    { weight: 4, arbitrary: fc.tuple(choice) },
    { weight: 2, arbitrary: fc.tuple(choice, choice) },
    { weight: 1, arbitrary: fc.tuple(choice, choice, choice) },
  ),
  guard: fc.nat({ max: 4 }),
  columns: fc.array(fc.record({ type: choice, notNull: rarer, default: fc.option(choice) }), {
    minLength: 1,
    maxLength: 5,
    size: "max",
  }),
  checks: fc.array(fc.record({ kind: choice, one: choice, other: choice, value: choice }), { maxLength: 1 }),
  uniques: fc.array(fc.record({ one: choice, other: fc.option(choice), nullsEqual: rarely }), {
    maxLength: 1,
  }),
  rescue: rarely,
  system: fc.boolean(),
  deferred: fc.boolean(),
});
type ShapeChoices = typeof shapeChoices extends fc.Arbitrary<infer Choices> ? Choices : never;

/** What tables refer to: nothing, mostly; a parent table, themselves, or both. */
export type Relations = { readonly parent: boolean; readonly self: boolean };

export const pick = <T>(list: readonly T[], number: number): T => list[number % list.length] as T;

export function shapes(relations: fc.Arbitrary<Relations>): fc.Arbitrary<readonly TableSpec[]> {
  return fc.tuple(relations, shapeChoices, shapeChoices).map(([{ parent, self }, own, other]) => {
    const parents = parent ? [toTable("parents", other, [])] : [];
    return [...parents, toTable("records", own, [...parents, ...(self ? ["self" as const] : [])])];
  });
}

function toTable(name: string, choices: ShapeChoices, parents: readonly (TableSpec | "self")[]): TableSpec {
  const keyColumns = choices.keyTypes.map((type, index) =>
    toColumn(`k${index}`, { type, notNull: false, default: null }),
  );
  const key = keyColumns.map((column) => column.name);
  const values = choices.columns.map((column, index) => toColumn(`c${index}`, column));
  const references = parents.map((parent, index) => {
    const [parentName, columns] = parent === "self" ? [name, keyColumns] : [parent.name, keysOf(parent)];
    return toReference({ parent: parentName, columns, prefix: `r${index}_`, deferred: choices.deferred });
  });
  const rescue: ColumnSpec[] = choices.rescue ? [{ name: "rest", type: "jsonb", notNull: false, default: null }] : [];
  const columns = [...keyColumns, ...values, ...references.flatMap((reference) => reference.columns), ...rescue];
  return {
    name,
    columns,
    key,
    guard: name === "parents" || parents.includes("self") ? pick(held, choices.guard) : pick(guards, choices.guard),
    checks: choices.checks.flatMap((check) => toCheck(`${name}_check`, check, values)),
    uniques: choices.uniques.map((unique) => toUnique(`${name}_other`, unique, { values, key })),
    foreignKeys: references.map((reference) => reference.foreignKey),
    rescue: choices.rescue ? "rest" : null,
    system: choices.system,
  };
}

const held = ["primary key", "primary key", "unique"] as const;
const guards = ["primary key", "primary key", "unique", "none"] as const;

export const keysOf = ({ columns, key }: TableSpec): ColumnSpec[] => columns.filter(({ name }) => key.includes(name));

type ColumnChoices = { readonly type: number; readonly notNull: boolean; readonly default: number | null };

function toColumn(name: string, choices: ColumnChoices): ColumnSpec {
  const type: TypeName = pick(typeNames, choices.type);
  const value: Good | null = choices.default === null ? null : pick(pools[type].good, choices.default);
  return { name, type, notNull: choices.notNull, default: value };
}

type Reference = {
  readonly parent: string;
  readonly columns: readonly ColumnSpec[];
  readonly prefix: string;
  readonly deferred: boolean;
};

function toReference({ parent, columns, prefix, deferred }: Reference) {
  const own = columns.map((column) => ({ ...column, name: `${prefix}${column.name}`, notNull: false, default: null }));
  const foreignKey: ForeignKeySpec = {
    name: `${prefix}fk`,
    columns: own.map(({ name }) => name),
    parent,
    parentColumns: columns.map(({ name }) => name),
    deferred,
  };
  return { columns: own, foreignKey };
}

type CheckChoices = { readonly kind: number; readonly one: number; readonly other: number; readonly value: number };

function toCheck(name: string, choices: CheckChoices, columns: readonly ColumnSpec[]): CheckSpec[] {
  const [one, other] = [pick(columns, choices.one), pick(columns, choices.other)];
  const kind = pick(["differs", "together", "either"] as const, choices.kind);
  if (kind === "differs") {
    return [{ kind, name, columns: [one.name], value: pick(pools[one.type].good, choices.value) }];
  }
  return one === other ? [] : [{ kind, name, columns: [one.name, other.name] }];
}

type UniqueChoices = { readonly one: number; readonly other: number | null; readonly nullsEqual: boolean };
type Columns = { readonly values: readonly ColumnSpec[]; readonly key: readonly string[] };

/** Over a value column, and maybe a further one or a part of the natural key. */
function toUnique(name: string, { one, other, nullsEqual }: UniqueChoices, { values, key }: Columns): UniqueSpec {
  const all = [...values.map((column) => column.name), ...key];
  const names = other === null ? [] : [pick(all, other)];
  return { name, columns: [...new Set([pick(values, one).name, ...names])], nullsEqual };
}
