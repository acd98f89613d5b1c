import type { ReadRecord, RejectFact, Table } from "./oracle-read.ts";
import type { Good } from "./values.ts";
import { type CheckSpec, type ContractSpec, isMarked, markOf, markWithNulls, type Row } from "./world.ts";

/** The oracle's second look: a record among the others, and against the rows that are stored. */

export type StoredRow = { readonly row: Row; readonly stamped: boolean };

/** What becomes of a record, and the row that it would leave. */
export type Judged = { readonly record: ReadRecord; verdict: Verdict; readonly row: Row; readonly old: Row | null };
export type Verdict = "insert" | "update" | "unchanged" | "skipped" | "collapsed" | "rejected";

export function judge(table: Table, records: readonly ReadRecord[], stored: readonly StoredRow[]): Judged[] {
  const staged = records.filter((record) => record.staged);
  const collapsed = collapse(table, staged);
  for (const record of staged) {
    if (table.spec.guard === "none" && matches(table, record, stored).length > 1) {
      reject(table, record, { field: table.contract.natural_key.join(", "), code: "KEY_NOT_UNIQUE" });
    }
  }
  return staged.map((record) => {
    const old = matches(table, record, stored)[0]?.row ?? null;
    const row = old ? updatedRow(table, record, old) : insertedRow(table, record);
    if (record.rejects.length > 0) return { record, verdict: "rejected", row, old };
    const verdict = collapsed.has(record)
      ? "collapsed"
      : old
        ? verdictOn(table, record, [old, row])
        : newVerdict(table);
    return { record, verdict, row, old };
  });
}

type Rejected = Pick<RejectFact, "field" | "code"> & Partial<Pick<RejectFact, "constraint">>;

export function reject({ spec }: Table, { key, number, rejects }: ReadRecord, rejected: Rejected): void {
  rejects.push({ table: spec.name, key, record: number, constraint: null, ...rejected });
}

function matches(table: Table, { values }: ReadRecord, stored: readonly StoredRow[]): StoredRow[] {
  const key = markOf(values, table.contract.natural_key);
  return key === null ? [] : stored.filter(({ row }) => markOf(row, table.contract.natural_key) === key);
}

/** One record for each key; where two say different things, none. Answers those that went into another one. */
function collapse(table: Table, records: readonly ReadRecord[]): Set<ReadRecord> {
  const { natural_key: key, conflict_resolution: resolution, newer_by: newerBy } = table.contract;
  const rank = (record: ReadRecord): number =>
    resolution === "newest" ? (record.values[newerBy ?? ""]?.rank ?? Number.NEGATIVE_INFINITY) : 0;
  const families = Map.groupBy(records, ({ values }) => markOf(values, key));
  const collapsed = new Set<ReadRecord>();
  for (const [mark, family] of families) {
    const [best, ...others] = family.toSorted((a, b) => (rank(a) === rank(b) ? 0 : rank(b) > rank(a) ? 1 : -1));
    if (mark === null || !best || others.length === 0) continue;
    const rival = others.some((other) => rank(other) === rank(best) && contentOf(other) !== contentOf(best));
    for (const record of family) {
      if (rival) reject(table, record, { field: key.join(", "), code: "KEY_DUPLICATE" });
      else if (record !== best) collapsed.add(record);
    }
  }
  return collapsed;
}

/** Absent is not null, and what is shown differently is not the same. */
function contentOf({ values }: ReadRecord): string {
  const texts = Object.entries(values).map(([name, value]) => [name, value?.text ?? null]);
  return JSON.stringify(texts.toSorted());
}

const newVerdict = ({ contract }: Table): Verdict =>
  contract.update_strategy === "update_only" ? "skipped" : "insert";

function verdictOn({ contract }: Table, record: ReadRecord, [old, row]: readonly [Row, Row]): Verdict {
  if (contract.update_strategy === "insert_only" || contract.conflict_resolution === "skip") return "skipped";
  if (Object.keys(old).every((name) => isSameText(old[name], row[name]))) return "unchanged";
  if (contract.conflict_resolution === "newest" && !isNewer(contract, record, old)) return "skipped";
  return "update";
}

export const isSameText = (one: Good | null | undefined, other: Good | null | undefined): boolean =>
  (one?.text ?? null) === (other?.text ?? null);

/** A record without the value is never newer; a stored row without it is older than any. */
function isNewer({ newer_by: newerBy = "" }: ContractSpec, { values }: ReadRecord, old: Row): boolean {
  const rank = values[newerBy]?.rank ?? null;
  const before = old[newerBy]?.rank ?? null;
  return rank !== null && (before === null || rank > before);
}

function insertedRow({ spec }: Table, { values }: ReadRecord): Row {
  const row = spec.columns.map(({ name, default: value }) => [name, name in values ? values[name] : value]);
  return Object.fromEntries(row);
}

export function isFixed({ natural_key: key, immutable_fields: fields, columns }: ContractSpec, name: string): boolean {
  return key.includes(name) || fields.includes(name) || columns[name]?.immutable === true;
}

function updatedRow(table: Table, record: ReadRecord, old: Row): Row {
  const names = table.spec.columns.map(({ name }) => name);
  return Object.fromEntries(names.map((name) => [name, updatedValue(table.contract, name, { record, old })]));
}

type Updating = { readonly record: ReadRecord; readonly old: Row };

function updatedValue(contract: ContractSpec, name: string, { record, old }: Updating): Good | null {
  const before = old[name] ?? null;
  if (isFixed(contract, name)) return before;
  const own = contract.columns[name] ?? {};
  if (own.fill_if_null && before !== null) return before;
  if (followsNewest(contract, name) && !isNewer(contract, record, old)) return before;
  const value = record.values[name] ?? null;
  if (value !== null) return value;
  if (contract.conflict_resolution === "merge") return before;
  return name in record.values || own.keep_if_absent === false ? null : before;
}

/** Where fields follow newer_by, it does so too: an older record must not set it back. */
function followsNewest({ columns, newer_by: newerBy }: ContractSpec, name: string): boolean {
  if (columns[name]?.newest) return true;
  return name === newerBy && Object.values(columns).some(({ newest }) => newest);
}

/** Whether a row breaks a check constraint. */
export function breaksCheck(row: Row, check: CheckSpec): boolean {
  if (check.kind === "differs") return isMarked(row, check.columns[0], check.value);
  const [one, other] = check.columns.map((column) => (row[column] ?? null) === null);
  return check.kind === "together" ? one !== other : Boolean(one && other);
}

/** The row's values in a unique key, by which it may meet another row; null where it never does. */
export const uniqueMark = (row: Row, { columns, nullsEqual }: { columns: readonly string[]; nullsEqual: boolean }) =>
  nullsEqual ? markWithNulls(row, columns) : markOf(row, columns);
