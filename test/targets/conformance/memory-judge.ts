import type { Column } from "../../../lib/core/catalog.ts";
import { isImmutable, type TablePlan } from "../../../lib/core/plan.ts";
import type { Reject } from "../../../lib/core/rejects.ts";
import { noCounts, type RecordCounts } from "../../../lib/core/report.ts";
import type { TableOutcome } from "../../../lib/core/target.ts";
import type { WorkItem } from "../../../lib/core/work-item.ts";

/** Judge and merge of the memory target, record by record. */

/** The texts of a row, in the one form that `canonical` gives each value. */
export type Row = Readonly<Record<string, string | null>>;

export type StagedRow = {
  readonly item: number;
  readonly record: number;
  /** One character a column of the plan, 1 where the record did not carry the field; null if it carried all. */
  readonly absent: string | null;
  readonly values: readonly (string | null)[];
};

/** Rows by their natural key. */
export type Rows = Map<string, Row>;

/** What a commit did to one row. */
export type Image = { readonly key: string; readonly old: Row | null; readonly new: Row };

export type Judged = {
  readonly outcome: TableOutcome;
  readonly rejects: readonly Reject[];
  readonly images: readonly Image[];
};

export type Job = {
  readonly plan: TablePlan;
  readonly stored: Rows;
  /** What a new row has in the columns that its record does not carry. */
  readonly defaults: Row;
  readonly staged: readonly StagedRow[];
  readonly items: readonly WorkItem[];
};

type Verdict = "loaded" | "updated" | "unchanged" | "skipped" | "collapsed" | "failed";

/** One staged record, and the row that it would leave. `given` are the fields that it carries. */
type Candidate = {
  readonly staged: StagedRow;
  readonly given: Row;
  readonly key: string;
  readonly old: Row | null;
  readonly row: Row;
  verdict: Verdict;
};

/** A key of rows, null of none: equal texts are equal values. */
export const keyOf = (row: Row, names: readonly string[]): string => JSON.stringify(names.map((name) => row[name]));

export function judgeTable(job: Job): Judged {
  const candidates = job.staged
    .toSorted((a, b) => a.item - b.item || a.record - b.record)
    .map((staged) => toCandidate(job, staged));
  const rejects = [...rejectDuplicates(job, candidates), ...rejectNulls(job, candidates)];
  const images = candidates
    .filter(({ verdict }) => verdict === "loaded" || verdict === "updated")
    .map(({ key, old, row }): Image => ({ key, old, new: row }));
  return { outcome: outcomeOf(job, candidates), rejects, images };
}

function toCandidate({ plan, stored, defaults }: Job, staged: StagedRow): Candidate {
  const fields = plan.columns.map(({ name }, index) => [name, staged.values[index] ?? null] as const);
  const given: Row = Object.fromEntries(fields.filter((_, index) => staged.absent?.[index] !== "1"));
  const key = keyOf(given, plan.contract.natural_key);
  const old = stored.get(key) ?? null;
  const row = old ? updatedRow(plan, given, old) : { ...defaults, ...given };
  return { staged, given, key, old, row, verdict: old ? verdictOn(plan, given, [old, row]) : verdictOnNew(plan) };
}

const verdictOnNew = ({ contract }: TablePlan): Verdict =>
  contract.update_strategy === "update_only" ? "skipped" : "loaded";

function verdictOn(plan: TablePlan, given: Row, [old, row]: readonly [Row, Row]): Verdict {
  const { update_strategy: strategy, conflict_resolution: resolution } = plan.contract;
  if (strategy === "insert_only" || resolution === "skip") return "skipped";
  if (isSameRow(old, row)) return "unchanged";
  return resolution === "newest" && !isNewer(plan, given, old) ? "skipped" : "updated";
}

export const isSameRow = (one: Row, other: Row): boolean =>
  Object.keys(one).every((name) => (one[name] ?? null) === (other[name] ?? null));

function updatedRow(plan: TablePlan, given: Row, old: Row): Row {
  const names = plan.columns.map(({ name }) => name);
  return { ...old, ...Object.fromEntries(names.map((name) => [name, updatedValue({ plan, given, old }, name)])) };
}

type Updating = { readonly plan: TablePlan; readonly given: Row; readonly old: Row };

function updatedValue({ plan, given, old }: Updating, name: string): string | null {
  const { contract } = plan;
  const before = old[name] ?? null;
  if (contract.natural_key.includes(name) || isImmutable(plan, name)) return before;
  const own = contract.columns[name];
  if (own?.fill_if_null && before !== null) return before;
  if (followsNewest(plan, name) && !isNewer(plan, given, old)) return before;
  const value = given[name] ?? null;
  if (value !== null) return value;
  if (contract.conflict_resolution === "merge") return before;
  return name in given || own?.keep_if_absent === false ? null : before;
}

/** If fields follow newer_by, it does so too: an older record must not set it back. */
function followsNewest({ contract: { columns, newer_by: newerBy } }: TablePlan, name: string): boolean {
  return Boolean(columns[name]?.newest) || (name === newerBy && Object.values(columns).some(({ newest }) => newest));
}

/** A record without the value is never newer; a stored row without it is older than any. */
function isNewer(plan: TablePlan, given: Row, old: Row): boolean {
  const [value, before] = [rankOf(plan, given), rankOf(plan, old)];
  return value !== null && (before === null || value > before);
}

/** What records of one key are ordered by. */
function rankOf({ contract: { newer_by: newerBy = "" }, columns }: TablePlan, row: Row): string | bigint | null {
  const value = row[newerBy] ?? null;
  const type = columns.find(({ name }) => name === newerBy)?.type.name ?? "";
  return value !== null && numberTypes.has(type) ? BigInt(value.replace(".", "")) : value;
}

/** One record for each key: the same one several times collapses, others are all rejected. */
function rejectDuplicates(job: Job, candidates: readonly Candidate[]): Reject[] {
  const { natural_key: key, conflict_resolution: resolution } = job.plan.contract;
  const rank = ({ given }: Candidate) => (resolution === "newest" ? rankOf(job.plan, given) : null);
  const rejects: Reject[] = [];
  for (const family of Map.groupBy(candidates, (candidate) => candidate.key).values()) {
    const best = family.reduce((a, b) => (isAbove(rank(b), rank(a)) ? b : a));
    const differs = family.some((one) => rank(one) === rank(best) && !isSameContent(one, best));
    for (const candidate of family) {
      if (!differs && candidate !== best) candidate.verdict = "collapsed";
      if (!differs) continue;
      candidate.verdict = "failed";
      const expected = "one record for each natural key";
      rejects.push(rejectOf(job, candidate, { field: key.join(", "), code: "KEY_DUPLICATE", expected }));
    }
  }
  return rejects;
}

const isAbove = (one: string | bigint | null, other: string | bigint | null): boolean =>
  one !== null && (other === null || one > other);

/** Absent is not null here. */
const isSameContent = ({ staged: one }: Candidate, { staged: other }: Candidate): boolean =>
  one.absent === other.absent && JSON.stringify(one.values) === JSON.stringify(other.values);

function rejectNulls(job: Job, candidates: readonly Candidate[]): Reject[] {
  const demanding = job.plan.shape.columns.filter(({ notNull }) => notNull);
  return candidates
    .filter(({ verdict }) => verdict === "loaded" || verdict === "updated")
    .flatMap((candidate) => {
      const nulls = demanding.filter(({ name }) => (candidate.row[name] ?? null) === null);
      if (nulls.length > 0) candidate.verdict = "failed";
      const fault = { code: "VALUE_NOT_NULL", expected: "a value: the column is not null" } as const;
      return nulls.map(({ name }) => rejectOf(job, candidate, { field: name, ...fault }));
    });
}

type Fault = Pick<Reject, "field" | "code" | "expected">;

function rejectOf({ plan, items }: Job, { staged }: Candidate, fault: Fault): Reject {
  const key = items.find(({ itemId }) => itemId === staged.item)?.object.key ?? "";
  return { table: plan.table, key, record: staged.record, ...fault, got: null, constraint: null, raw: null };
}

function outcomeOf({ plan, items }: Job, candidates: readonly Candidate[]): TableOutcome {
  const sum = (countOf: (item: WorkItem) => number) => items.reduce((total, item) => total + countOf(item), 0);
  const count = (verdict: Verdict) => candidates.filter((candidate) => candidate.verdict === verdict).length;
  const counts: RecordCounts = {
    ...noCounts,
    records_read: sum(({ records }) => records),
    records_loaded: count("loaded"),
    records_updated: count("updated"),
    records_unchanged: count("unchanged"),
    records_skipped: count("skipped"),
    records_collapsed: count("collapsed"),
    records_failed: sum(({ rejected }) => rejected) + count("failed"),
  };
  const changedFields = tally(
    plan,
    candidates,
    (one, name) => one.verdict === "updated" && one.row[name] !== one.old?.[name],
  );
  const immutableAttempts = tally(plan, candidates, ({ verdict, given, old }, name) => {
    const isMatched = verdict === "updated" || verdict === "unchanged";
    return isMatched && isImmutable(plan, name) && (given[name] ?? null) !== null && given[name] !== old?.[name];
  });
  const [sample = null] = candidates.map(({ given }) => given);
  return { table: plan.table, counts, seconds: 0, unjudged: 0, immutableAttempts, changedFields, sample };
}

function tally(
  { columns }: TablePlan,
  candidates: readonly Candidate[],
  isMeant: (candidate: Candidate, name: string) => boolean,
): Record<string, number> {
  const counts = columns.map(({ name }): [string, number] => [
    name,
    candidates.filter((one) => isMeant(one, name)).length,
  ]);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

const numberTypes: ReadonlySet<string> = new Set(["int4", "int8", "numeric"]);
const instantForm = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d(?::\d\d)?)$/;

/** The one text of a value, so that equal values have equal texts: digits to the column's scale, instants in UTC. */
export function canonical({ type }: Column, text: string): string {
  if (numberTypes.has(type.name)) return decimal(text, type.scale ?? 0);
  const match = type.name === "timestamptz" ? instantForm.exec(text) : null;
  if (match === null) return text;
  const [, date, minute, second = "00", fraction = "", zone = ""] = match;
  const offset = zone === "Z" || zone.includes(":") ? zone : `${zone}:00`;
  const whole = new Date(`${date}T${minute}:${second}${offset}`).toISOString().slice(0, 19);
  return `${whole}.${fraction.padEnd(6, "0")}Z`;
}

function decimal(text: string, scale: number): string {
  const [whole = "", fraction = ""] = text.split(".");
  const units = BigInt(whole + fraction.padEnd(scale, "0"));
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, "0");
  const point = digits.length - scale;
  return (units < 0n ? "-" : "") + digits.slice(0, point) + (scale > 0 ? `.${digits.slice(point)}` : "");
}
