import type { RecordCounts } from "../../../lib/core/report.ts";
import {
  breaksCheck,
  isFixed,
  isSameText,
  type Judged,
  judge,
  reject,
  type StoredRow,
  uniqueMark,
} from "./oracle-judge.ts";
import { type ReadRecord, type RejectFact, readRecord, type Table } from "./oracle-read.ts";
import { type Case, type Content, type ForeignKeySpec, markOf, type TableSpec, type World } from "./world.ts";

/**
 * What a load does, said naively: record by record, row by row, on plain values. The set-based SQL has to agree with
 * it. It shares types with the product, and no code.
 */

export type TableFacts = {
  /** Every row as the query of sql.ts shows it, sorted. */
  readonly rows: readonly string[];
  readonly counts: RecordCounts;
  readonly changedFields: Readonly<Record<string, number>>;
  readonly immutableAttempts: Readonly<Record<string, number>>;
  readonly auditRows: number;
};

export type Facts = {
  readonly tables: Readonly<Record<string, TableFacts>>;
  /** Sorted, as JSON. */
  readonly rejects: readonly string[];
};

type Tables = Map<string, StoredRow[]>;

export function predict({ tables }: Pick<World, "tables">, contents: Case): Facts {
  const state: Tables = new Map(tables.map(({ name }) => [name, storedRows(contents[name])]));
  const rejects: RejectFact[] = [];
  const facts = tables.flatMap((spec): [string, TableFacts][] => {
    const content = contents[spec.name];
    if (!content || content.fragments.length === 0) return [];
    const outcome = loadTable({ spec, contract: content.contract }, content, state);
    rejects.push(...outcome.rejects);
    return [[spec.name, outcome.facts]];
  });
  return { tables: Object.fromEntries(facts), rejects: rejects.map(rejectText).toSorted() };
}

/** The order of a constraint's columns is the server's. */
export const rejectText = ({ table, key, record, field, code, constraint }: RejectFact): string =>
  JSON.stringify([table, key, record, code, constraint, field.split(", ").toSorted().join(", ")]);

const storedRows = (content: Content | undefined): StoredRow[] =>
  (content?.stored ?? []).map((row) => ({ row, stamped: false }));

function loadTable(table: Table, content: Content, state: Tables) {
  const records = content.fragments.flatMap((fragment, index) =>
    fragment.map((record, place) => readRecord(table, record, { fragment: index, number: place + 1 })),
  );
  const stored = state.get(table.spec.name) ?? [];
  const judged = judge(table, records, stored);
  rejectBroken(table, judged, stored);
  rejectOrphans(table, judged, state);
  const rows = merge(judged, stored);
  state.set(table.spec.name, rows);
  const facts = factsOf(table, { records, judged, rows });
  return { facts, rejects: records.flatMap((record) => record.rejects) };
}

const isWritten = ({ verdict }: Judged): boolean => verdict === "insert" || verdict === "update";

/** Rejects that were found together take effect together. */
function settle(judged: readonly Judged[]): void {
  for (const one of judged) if (one.record.rejects.length > 0) one.verdict = "rejected";
}

/** Not null, checks and other unique keys: what each row by itself, the other new rows and the stored ones say. */
function rejectBroken(table: Table, judged: readonly Judged[], stored: readonly StoredRow[]): void {
  const { columns, checks, uniques, key } = table.spec;
  const written = judged.filter(isWritten);
  for (const one of written) {
    const { row, record } = one;
    for (const { name, notNull } of columns) {
      if (notNull && !key.includes(name) && row[name] === null)
        reject(table, record, { field: name, code: "VALUE_NOT_NULL" });
    }
    for (const check of checks.filter((candidate) => breaksCheck(row, candidate))) {
      reject(table, record, { field: check.columns.join(", "), code: "CONSTRAINT_CHECK", constraint: check.name });
    }
    for (const unique of uniques) {
      const mark = uniqueMark(row, unique);
      const others = [
        ...written.filter((other) => other !== one).map((other) => other.row),
        ...stored.map((other) => other.row).filter((other) => markOf(other, key) !== markOf(row, key)),
      ];
      if (mark === null || !others.some((other) => uniqueMark(other, unique) === mark)) continue;
      reject(table, record, { field: unique.columns.join(", "), code: "CONSTRAINT_UNIQUE", constraint: unique.name });
    }
  }
  settle(judged);
}

/** Parents in other tables are what those hold by now; in the same table also the rows that survive themselves. */
function rejectOrphans(table: Table, judged: readonly Judged[], state: Tables): void {
  const isOwn = ({ parent }: ForeignKeySpec): boolean => parent === table.spec.name;
  const { foreignKeys } = table.spec;
  const rowsOf = (name: string) => (state.get(name) ?? []).map(({ row }) => row);
  const orphans = (keys: readonly ForeignKeySpec[], withSiblings: boolean): number => {
    const found = keys.flatMap((foreignKey) => {
      const siblings = withSiblings ? judged.filter(isWritten).map(({ row }) => row) : [];
      const parents = new Set(
        [...rowsOf(foreignKey.parent), ...siblings].map((row) => markOf(row, foreignKey.parentColumns)),
      );
      return judged
        .filter(isWritten)
        .filter(({ row }) => {
          const mark = markOf(row, foreignKey.columns);
          return mark !== null && !parents.has(mark);
        })
        .map(({ record }) => ({ record, foreignKey }));
    });
    for (const {
      record,
      foreignKey: { columns, name },
    } of found) {
      reject(table, record, { field: columns.join(", "), code: "CONSTRAINT_FK", constraint: name });
    }
    settle(judged);
    return found.length;
  };
  orphans(
    foreignKeys.filter((key) => !isOwn(key)),
    false,
  );
  while (orphans(foreignKeys.filter(isOwn), true) > 0);
}

function merge(judged: readonly Judged[], stored: readonly StoredRow[]): StoredRow[] {
  const updates = new Map(judged.filter(({ verdict }) => verdict === "update").map(({ old, row }) => [old, row]));
  const kept = stored.map(({ row, stamped }) => {
    const changed = updates.get(row);
    return changed ? { row: changed, stamped: true } : { row, stamped };
  });
  const added = judged.filter(({ verdict }) => verdict === "insert").map(({ row }) => ({ row, stamped: true }));
  return [...kept, ...added];
}

type Outcome = {
  readonly records: readonly ReadRecord[];
  readonly judged: readonly Judged[];
  readonly rows: readonly StoredRow[];
};

function factsOf({ spec, contract }: Table, { records, judged, rows }: Outcome): TableFacts {
  const count = (verdict: Judged["verdict"]): number => judged.filter((one) => one.verdict === verdict).length;
  const counts: RecordCounts = {
    records_read: records.length,
    records_loaded: count("insert"),
    records_updated: count("update"),
    records_unchanged: count("unchanged"),
    records_skipped: count("skipped"),
    records_collapsed: count("collapsed"),
    records_deleted: 0,
    records_failed: records.filter(({ rejects }) => rejects.length > 0).length,
  };
  const changed = tally(spec, (name) =>
    judged.filter(({ verdict, old, row }) => verdict === "update" && !isSameText(old?.[name], row[name])),
  );
  const attempts = tally(spec, (name) =>
    isFixed(contract, name) && !contract.natural_key.includes(name) ? judged.filter((one) => attempted(one, name)) : [],
  );
  const effects = counts.records_loaded + counts.records_updated;
  return {
    rows: rows.map((row) => rowText(spec, row)).toSorted(),
    counts,
    changedFields: changed,
    immutableAttempts: attempts,
    auditRows: contract.audit_changes ? effects : 0,
  };
}

function attempted({ verdict, record, old }: Judged, name: string): boolean {
  const value = record.values[name] ?? null;
  return (verdict === "update" || verdict === "unchanged") && value !== null && !isSameText(value, old?.[name]);
}

function tally(spec: TableSpec, pick: (name: string) => readonly Judged[]): Record<string, number> {
  const counts = spec.columns.map(({ name }): [string, number] => [name, pick(name).length]);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

function rowText({ columns, system }: TableSpec, { row, stamped }: StoredRow): string {
  const texts = columns.map(({ name }) => row[name]?.text ?? null);
  return JSON.stringify([...texts, ...(system ? ["true", String(stamped)] : [])]);
}
