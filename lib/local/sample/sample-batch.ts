import type { JsonObject, JsonValue } from "../../core/json.ts";
import type { RejectCode } from "../../core/rejects.ts";
import { placeOf, toFragments } from "./fragments.ts";
import { centerCodes, countOf, mapTables, recordOf, sampleId, sampleRecords } from "./sample-records.ts";
import type { BrokenRecord, ExpectedCounts, SampleFragment, SampleOptions, SampleTable } from "./values.ts";

/** A batch for all ten tables, every record of which is inserted into empty tables. */
export function sampleBatch(options: SampleOptions): SampleFragment[] {
  return toFragments(sampleRecords(options), options.now);
}

type Fault = {
  readonly table: SampleTable;
  readonly idPrefix: string;
  readonly field: string;
  readonly value: JsonValue;
  readonly code: RejectCode;
};

/** One for each place that finds faults: the reader's conversion, the type's labels, the other tables. */
const faults: readonly Fault[] = [
  { table: "blood", idPrefix: "BLD", field: "volume_ml", value: "12,5", code: "VALUE_TYPE" },
  { table: "plasma", idPrefix: "PLA", field: "tube_type", value: "EDTA-K3", code: "VALUE_ENUM" },
  { table: "serum", idPrefix: "SER", field: "global_subject_id", value: "GSID-MISSING-0001", code: "CONSTRAINT_FK" },
];

/** No other record has a number from here on: an insert-only table would skip a known key instead of rejecting it. */
const firstBrokenNumber = 900_001;

type Spoilt = { readonly fault: Fault; readonly number: number; readonly records: readonly JsonObject[] };

/** Puts the broken record beside a good one, not in its place: others may refer to that one (rna to blood). */
function spoil(good: readonly JsonObject[], fault: Fault, id: string): Spoilt {
  const at = Math.ceil((good.length * 3) / 4);
  const record = { ...good.at(at - 1), sample_id: id, [fault.field]: fault.value };
  return { fault, number: at + 1, records: [...good.slice(0, at), record, ...good.slice(at)] };
}

/**
 * A good batch but for three records more, which the loader has to reject. Where it is loaded with `on_error: abort`,
 * nothing of it takes effect.
 */
export function brokenBatch(options: SampleOptions): {
  readonly fragments: SampleFragment[];
  readonly broken: BrokenRecord[];
} {
  const good = sampleRecords(options);
  const spoilt = faults.map((fault, index) =>
    spoil(good[fault.table], fault, sampleId(fault.idPrefix, firstBrokenNumber + index, options.now)),
  );
  const records = mapTables((table) => spoilt.find(({ fault }) => fault.table === table)?.records ?? good[table]);
  return {
    fragments: toFragments(records, options.now),
    broken: spoilt.map(({ fault: { table, field, code }, number }) => ({
      table,
      ...placeOf(table, number, records),
      field,
      code,
    })),
  };
}

/** What becomes of a record that the first batch has brought already. */
type Fate = "updated" | "unchanged" | "skipped";
type Resent = { readonly record: JsonObject; readonly fate: Fate };
const dayMilliseconds = 86_400_000;

function otherCenter(record: JsonObject): string {
  return centerCodes.find((code) => code !== record.center_code) as string;
}

/** `newest`: later with another center, the very same, or older with another center. */
function resendSubject(record: JsonObject, number: number, now: Date): Resent | null {
  const stored = new Date(record.source_updated_at as string);
  const older = new Date(stored.getTime() - 60 * dayMilliseconds);
  const moved = { ...record, center_code: otherCenter(record), consent_version: "v3.0" };
  if (number % 10 === 1) return { record: { ...moved, source_updated_at: now.toISOString() }, fate: "updated" };
  if (number % 10 === 2) return { record, fate: "unchanged" };
  if (number % 10 === 3) return { record: { ...moved, source_updated_at: older.toISOString() }, fate: "skipped" };
  return null;
}

/** `merge`: only the fields that changed, the very same, or nothing but nulls, which keep what is stored. */
function resendLcl(record: JsonObject, number: number, now: Date): Resent | null {
  const key = { global_subject_id: record.global_subject_id ?? null, niddk_no: record.niddk_no ?? null };
  const passage = (record.passage_number as number) + 1;
  if (number % 10 === 1) {
    return { record: { ...key, passage_number: passage, last_passaged_at: now.toISOString() }, fate: "updated" };
  }
  if (number % 10 === 2) return { record, fate: "unchanged" };
  if (number % 10 === 3) return { record: { ...key, cell_count: null, viability_percent: "NA" }, fate: "unchanged" };
  return null;
}

/** `merge`, where the updates also try to change `created_by`, which is immutable. */
function resendDna(record: JsonObject, number: number): Resent | null {
  const key = { global_subject_id: record.global_subject_id ?? null, sample_id: record.sample_id ?? null };
  if (number % 10 === 1) {
    // Above every concentration of the first batch, so that it always is a change.
    return { record: { ...key, concentration_ng_ul: 1_000 + number / 8, created_by: "requant" }, fate: "updated" };
  }
  if (number % 10 === 2) return { record, fate: "unchanged" };
  if (number % 10 === 3) return { record: { ...record, assay: null, volume_ul: null }, fate: "unchanged" };
  return null;
}

/** `replace`: the whole state again, with the vial gone to (or back from) a study; or the very same. */
function resendSpecimen(record: JsonObject, number: number): Resent | null {
  if (number % 10 === 1) {
    const moved = { ...record, available: record.available !== true, freezer_position: null };
    return { record: moved, fate: "updated" };
  }
  return number % 10 === 2 ? { record, fate: "unchanged" } : null;
}

/** `insert_only`: a known key is a duplicate, whatever its record says. */
function resendDuplicate(record: JsonObject, number: number): Resent | null {
  return number % 10 === 1 ? { record, fate: "skipped" } : null;
}

const resends: Partial<Record<SampleTable, (record: JsonObject, number: number, now: Date) => Resent | null>> = {
  subject: resendSubject,
  lcl: resendLcl,
  dna: resendDna,
  specimen: resendSpecimen,
};

function resentOf(table: SampleTable, options: SampleOptions): Resent[] {
  const resend = resends[table] ?? resendDuplicate;
  return Array.from({ length: countOf(table, options) }, (_, index) =>
    resend(recordOf(table, index + 1, options), index + 1, options.now),
  ).filter((resent) => resent !== null);
}

/** A twentieth more of everything; the new samples belong to old and new subjects alike. */
function newOf(table: SampleTable, options: SampleOptions): JsonObject[] {
  // dna derives its key from its specimen and the one before, which has to be that of the first batch.
  const newSubjects = table === "dna" || table === "specimen" ? 0 : countNew("subject", options);
  const grown = { ...options, subjects: options.subjects + newSubjects };
  const known = countOf(table, options);
  return Array.from({ length: countNew(table, options) }, (_, index) => recordOf(table, known + index + 1, grown));
}

function countNew(table: SampleTable, options: SampleOptions): number {
  return Math.ceil(countOf(table, options) / 20);
}

function countFates(resent: readonly Resent[], inserted: number): ExpectedCounts {
  const count = (fate: Fate): number => resent.filter((each) => each.fate === fate).length;
  return { inserted, updated: count("updated"), unchanged: count("unchanged"), skipped: count("skipped") };
}

/**
 * A batch to load after `sampleBatch` with the very same options: new records, changed ones, repeated ones and older
 * ones. `expected` is what its load reports; inserted + updated + unchanged + skipped are all records of the table.
 */
export function secondBatch(options: SampleOptions): {
  readonly fragments: SampleFragment[];
  readonly expected: Readonly<Record<SampleTable, ExpectedCounts>>;
} {
  const resent = mapTables((table) => resentOf(table, options));
  const added = mapTables((table) => newOf(table, options));
  const records = mapTables((table) => [...resent[table].map((each) => each.record), ...added[table]]);
  return {
    fragments: toFragments(records, options.now),
    expected: mapTables((table) => countFates(resent[table], added[table].length)),
  };
}
