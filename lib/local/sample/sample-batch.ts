import { gzipSync } from "node:zlib";
import type { JsonObject, JsonValue } from "../../core/json.ts";
import { successMarker } from "../../core/keys.ts";
import type { RejectCode } from "../../core/rejects.ts";
import { centerCodes, countOf, mapTables, recordOf, sampleId, sampleRecords } from "./sample-records.ts";
import {
  type BrokenRecord,
  type ExpectedCounts,
  type SampleFragment,
  type SampleOptions,
  type SampleRecords,
  type SampleTable,
  sampleTables,
} from "./values.ts";

/** Sample batches as fragments: one that loads, a second one with changes, and one with broken records. */

/** A batch for all ten tables; a load into empty tables inserts every record. */
export function sampleBatch(options: SampleOptions): SampleFragment[] {
  return toFragments(sampleRecords(options), options.now);
}

type Mistake = {
  readonly table: SampleTable;
  readonly idPrefix: string;
  readonly field: string;
  readonly value: JsonValue;
  readonly code: RejectCode;
};

/** One for each place that finds rejects: the conversion of a value, the labels of an enum, the other tables. */
const mistakes: readonly Mistake[] = [
  { table: "blood", idPrefix: "BLD", field: "volume_ml", value: "12,5", code: "VALUE_TYPE" },
  { table: "plasma", idPrefix: "PLA", field: "tube_type", value: "EDTA-K3", code: "VALUE_ENUM" },
  { table: "serum", idPrefix: "SER", field: "global_subject_id", value: "GSID-MISSING-0001", code: "CONSTRAINT_FK" },
];

/** Number above that of any other record: an insert-only table would skip a known key instead of rejecting it. */
const firstBrokenNumber = 900_001;

type Spoilt = { readonly mistake: Mistake; readonly number: number; readonly records: readonly JsonObject[] };

/** Inserts a broken record beside a good one, which stays: others may refer to it (rna to blood). */
function spoil(good: readonly JsonObject[], mistake: Mistake, id: string): Spoilt {
  const at = Math.ceil((good.length * 3) / 4);
  const record = { ...good.at(at - 1), sample_id: id, [mistake.field]: mistake.value };
  return { mistake, number: at + 1, records: [...good.slice(0, at), record, ...good.slice(at)] };
}

/** A good batch and three more records, which the loader has to reject; with `on_error: abort` it loads nothing. */
export function brokenBatch(options: SampleOptions): {
  readonly fragments: SampleFragment[];
  readonly broken: BrokenRecord[];
} {
  const good = sampleRecords(options);
  const spoilt = mistakes.map((mistake, index) =>
    spoil(good[mistake.table], mistake, sampleId(mistake.idPrefix, firstBrokenNumber + index, options.now)),
  );
  const records = mapTables((table) => spoilt.find(({ mistake }) => mistake.table === table)?.records ?? good[table]);
  return {
    fragments: toFragments(records, options.now),
    broken: spoilt.map(({ mistake: { table, field, code }, number }) => ({
      table,
      ...placeOf(table, number, records),
      field,
      code,
    })),
  };
}

/**
 * A batch to load after `sampleBatch` with the same options: new, changed, repeated and older records. `expected` holds
 * the counts that its load reports; their sum is the number of the table's records.
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

/** Fate of a record whose key the first batch has loaded. */
type Fate = "updated" | "unchanged" | "skipped";
type Resent = { readonly record: JsonObject; readonly fate: Fate };
const dayMilliseconds = 86_400_000;

function otherCenter(record: JsonObject): string {
  return centerCodes.find((code) => code !== record.center_code) as string;
}

/** `newest`: a later record with another center, the same record, or an older one with another center. */
function resendSubject(record: JsonObject, number: number, now: Date): Resent | null {
  const stored = new Date(record.source_updated_at as string);
  const older = new Date(stored.getTime() - 60 * dayMilliseconds);
  const moved = { ...record, center_code: otherCenter(record), consent_version: "v3.0" };
  if (number % 10 === 1) return { record: { ...moved, source_updated_at: now.toISOString() }, fate: "updated" };
  if (number % 10 === 2) return { record, fate: "unchanged" };
  if (number % 10 === 3) return { record: { ...moved, source_updated_at: older.toISOString() }, fate: "skipped" };
  return null;
}

/** `merge`: only the changed fields, the same record, or nothing but nulls, which keep the stored values. */
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

/** `merge`: the updates also try to change `created_by`, which is immutable. */
function resendDna(record: JsonObject, number: number): Resent | null {
  const key = { global_subject_id: record.global_subject_id ?? null, sample_id: record.sample_id ?? null };
  if (number % 10 === 1) {
    // Above every concentration of the first batch, so that it is always a change.
    return { record: { ...key, concentration_ng_ul: 1_000 + number / 8, created_by: "requant" }, fate: "updated" };
  }
  if (number % 10 === 2) return { record, fate: "unchanged" };
  if (number % 10 === 3) return { record: { ...record, assay: null, volume_ul: null }, fate: "unchanged" };
  return null;
}

/** `replace`: the whole record again with another availability, or the same record. */
function resendSpecimen(record: JsonObject, number: number): Resent | null {
  if (number % 10 === 1) {
    const moved = { ...record, available: record.available !== true, freezer_position: null };
    return { record: moved, fate: "updated" };
  }
  return number % 10 === 2 ? { record, fate: "unchanged" } : null;
}

/** `insert_only`: a record with a known key is skipped, changed or not. */
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

/** New records, a twentieth of the first batch; the samples belong to old and new subjects. */
function newOf(table: SampleTable, options: SampleOptions): JsonObject[] {
  // A dna record takes its key from two specimens; they must come out as in the first batch, with as many subjects.
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

/** One fragment for each table; `blood` has two parts, then the marker that completes them. */
function toFragments(records: SampleRecords, now: Date): SampleFragment[] {
  return sampleTables.flatMap((table) => {
    if (table === "blood") return inParts(table, records[table], now);
    const { extension, write } = shapes[table];
    return [{ table, fileName: `${table}.${extension}`, body: write(records[table], now) }];
  });
}

/** The file that holds a record (1 for the table's first), and the record's number in it. */
function placeOf(
  table: SampleTable,
  number: number,
  records: SampleRecords,
): Pick<BrokenRecord, "fileName" | "record"> {
  const { extension } = shapes[table];
  if (table !== "blood") return { fileName: `${table}.${extension}`, record: number };
  const half = Math.ceil(records[table].length / 2);
  return number <= half
    ? { fileName: `${table}/part-0001.${extension}`, record: number }
    : { fileName: `${table}/part-0002.${extension}`, record: number - half };
}

type Records = readonly JsonObject[];
type Shape = { readonly extension: string; readonly write: (records: Records, now: Date) => string | Uint8Array };

const asLines = (records: Records): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");
const asRecords = (records: Records): string => JSON.stringify({ records });
const asExport = (records: Records, now: Date): string =>
  JSON.stringify({
    metadata: { source: "sample", generated_at: now.toISOString(), record_count: records.length },
    records,
  });

/** Covers every shape that the readers accept; `blood` is the table in parts. */
const shapes: Readonly<Record<SampleTable, Shape>> = {
  subject: { extension: "json", write: asExport },
  blood: { extension: "json", write: asRecords },
  lcl: { extension: "json", write: (records) => JSON.stringify(records) },
  specimen: { extension: "ndjson", write: asLines },
  dna: { extension: "json", write: asRecords },
  rna: { extension: "json.gz", write: (records, now) => gzipSync(asExport(records, now)) },
  serum: { extension: "jsonl.gz", write: (records) => gzipSync(asLines(records)) },
  plasma: { extension: "jsonl", write: asLines },
  stool: { extension: "json", write: (records) => JSON.stringify({ records }, null, 2) },
  tissue: { extension: "json", write: asExport },
};

function inParts(table: SampleTable, records: Records, now: Date): SampleFragment[] {
  const { extension, write } = shapes[table];
  const half = Math.ceil(records.length / 2);
  return [
    { table, fileName: `${table}/part-0001.${extension}`, body: write(records.slice(0, half), now) },
    { table, fileName: `${table}/part-0002.${extension}`, body: write(records.slice(half), now) },
    { table, fileName: `${table}/${successMarker}`, body: "" },
  ];
}
