/** What a load does, said naively: record by record, on plain values. The set-based SQL has to agree with it. */

export type Stored = {
  readonly k: string;
  readonly n: number | null;
  readonly t: string | null;
  readonly at: number | null;
};
export type FieldName = "n" | "t" | "at";
export const fieldNames: readonly FieldName[] = ["n", "t", "at"];

/** `undefined` is absent; instants are hours of a day. */
export type SourceRow = {
  readonly k?: string | null;
  readonly n?: number | null;
  readonly t?: string | null;
  readonly at?: number | null;
};

export type Rules = {
  readonly update_strategy: "upsert" | "insert_only" | "update_only";
  readonly conflict_resolution: "merge" | "replace" | "skip" | "newest";
  readonly immutable_fields: readonly FieldName[];
};

export type Fates = {
  readonly rows: readonly Stored[];
  readonly counts: Readonly<Record<string, number>>;
  readonly changedFields: Readonly<Record<string, number>>;
  readonly immutableAttempts: Readonly<Record<string, number>>;
};

type Tally = Record<string, number>;
type State = {
  readonly rules: Rules;
  readonly table: Map<string, Stored>;
  readonly counts: Tally;
  readonly changed: Tally;
  readonly attempts: Tally;
};

export const defaultText = "by default";
export const forbidden = 3;

export function predict(stored: readonly Stored[], rows: readonly SourceRow[], rules: Rules): Fates {
  const table = new Map(stored.map((row) => [row.k, row]));
  const state: State = { rules, table, counts: { read: rows.length }, changed: {}, attempts: {} };
  for (const row of survivors(state, rows)) add(state.counts, apply(state, row));
  return {
    rows: [...table.values()].toSorted((a, b) => (a.k < b.k ? -1 : 1)),
    counts: state.counts,
    changedFields: state.changed,
    immutableAttempts: state.attempts,
  };
}

function add(tally: Tally, name: string, by = 1): void {
  if (by > 0) tally[name] = (tally[name] ?? 0) + by;
}

/** One record for each key, or none where two records say different things. */
function survivors({ rules, counts }: State, rows: readonly SourceRow[]): SourceRow[] {
  const families = new Map<string, SourceRow[]>();
  for (const row of rows) {
    if (typeof row.k === "string") families.set(row.k, [...(families.get(row.k) ?? []), row]);
    else add(counts, "failed");
  }
  return [...families.values()].flatMap((family) => {
    const best = rules.conflict_resolution === "newest" ? newestOf(family) : (family[0] as SourceRow);
    const rivals = family.filter((row) => contentOf(row) !== contentOf(best) && !loses(rules, row, best));
    add(counts, rivals.length > 0 ? "failed" : "collapsed", rivals.length > 0 ? family.length : family.length - 1);
    return rivals.length > 0 ? [] : [best];
  });
}

const rankOf = ({ at }: SourceRow): number => at ?? Number.NEGATIVE_INFINITY;
const newestOf = (family: readonly SourceRow[]): SourceRow =>
  family.reduce((best, row) => (rankOf(row) > rankOf(best) ? row : best));
const loses = ({ conflict_resolution: resolution }: Rules, row: SourceRow, best: SourceRow): boolean =>
  resolution === "newest" && rankOf(row) < rankOf(best);
const contentOf = (row: SourceRow): string => JSON.stringify(fieldNames.map((name) => row[name] ?? String(row[name])));

type Fate = "loaded" | "updated" | "unchanged" | "skipped" | "failed";

function apply(state: State, row: SourceRow): Fate {
  const { rules, table } = state;
  const old = table.get(row.k ?? "");
  if (!old) return insert(state, row);
  if (rules.update_strategy === "insert_only" || rules.conflict_resolution === "skip") return "skipped";
  const next = {
    ...old,
    ...Object.fromEntries(fieldNames.map((name) => [name, updatedValue(rules, name, [row, old])])),
  };
  if (fieldNames.every((name) => next[name] === old[name])) {
    countAttempts(state, row, old);
    return "unchanged";
  }
  const newer = typeof row.at === "number" && (old.at === null || row.at > old.at);
  if (rules.conflict_resolution === "newest" && !newer) return "skipped";
  if (next.n === forbidden) return "failed";
  for (const name of fieldNames) if (next[name] !== old[name]) add(state.changed, name);
  countAttempts(state, row, old);
  table.set(old.k, next);
  return "updated";
}

function insert({ rules, table }: State, row: SourceRow): Fate {
  if (rules.update_strategy === "update_only") return "skipped";
  if (row.n === forbidden) return "failed";
  const { k, n = null, t = defaultText, at = null } = row;
  table.set(k ?? "", { k: k ?? "", n, t, at });
  return "loaded";
}

function updatedValue(rules: Rules, name: FieldName, [row, old]: readonly [SourceRow, Stored]): Stored[FieldName] {
  const value = row[name];
  if (rules.immutable_fields.includes(name) || value === undefined) return old[name];
  return value === null && rules.conflict_resolution === "merge" ? old[name] : value;
}

function countAttempts({ rules, attempts }: State, row: SourceRow, old: Stored): void {
  for (const name of rules.immutable_fields) {
    const value = row[name];
    if (value !== undefined && value !== null && value !== old[name]) add(attempts, name);
  }
}
