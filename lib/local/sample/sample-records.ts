import type { JsonObject } from "../../core/json.ts";
import {
  addDays,
  dateBefore,
  dayMilliseconds,
  freezerPosition,
  mixSeed,
  openRandom,
  orNothing,
  type Random,
  type SampleFragment,
  type SampleOptions,
  type SampleRecords,
  type SampleTable,
  sampleTables,
  uuid,
  workingTime,
} from "./values.ts";

/** The sample's records: every value follows from seed, table and number. */

const makers: Readonly<Record<SampleTable, (context: RecordContext) => JsonObject>> = {
  subject: subjectRecord,
  blood: bloodRecord,
  lcl: lclRecord,
  specimen: specimenRecord,
  dna: dnaRecord,
  rna: rnaRecord,
  serum: serumRecord,
  plasma: plasmaRecord,
  stool: stoolRecord,
  tissue: tissueRecord,
};

export function recordOf(table: SampleTable, number: number, options: SampleOptions): JsonObject {
  return makers[table](openContext(table, number, options));
}

export function mapTables<T>(make: (table: SampleTable) => T): Record<SampleTable, T> {
  return Object.fromEntries(sampleTables.map((table) => [table, make(table)])) as Record<SampleTable, T>;
}

/** Number of records that the first batch has of a table. */
export function countOf(table: SampleTable, options: SampleOptions): number {
  return table === "subject" ? options.subjects : options.samplesPerTable;
}

/** The records of the first batch. */
export function sampleRecords(options: SampleOptions): SampleRecords {
  return mapTables((table) =>
    Array.from({ length: countOf(table, options) }, (_, index) => recordOf(table, index + 1, options)),
  );
}

/** Number of subjects that `table-loader local seed` loads at least; the example records refer to them. */
const experimentParentCount = 10;

function experimentParentId(number: number): string {
  return `GSID-SEED-${String(number).padStart(4, "0")}`;
}

/** Makes subjects `GSID-SEED-0001`, `GSID-SEED-0002` and so on, always the same: loading them again changes nothing. */
export function experimentParents(count: number = experimentParentCount): SampleFragment {
  const records = Array.from({ length: count }, (_, index) => ({
    global_subject_id: experimentParentId(index + 1),
    center_code: "DEMO",
    sex: index % 2 === 0 ? "female" : "male",
    year_of_birth: 1960 + (index % 40),
    diagnosis: "control",
    date_enrolled: "2024-01-15",
    consent: true,
    consent_version: "v2.0",
    source_updated_at: "2024-01-15T09:00:00Z",
    created_by: "local_seed",
  }));
  return { table: "subject", fileName: "subject.json", body: JSON.stringify({ records }, null, 2) };
}

/** Makes blood records `BLD-SEED-0001` and so on, which refer in turn to the first ten of `experimentParents`. */
export function exampleBloodRecords(count: number): JsonObject[] {
  return Array.from({ length: count }, (_, index) => ({
    sample_id: `BLD-SEED-${String(index + 1).padStart(4, "0")}`,
    global_subject_id: experimentParentId((index % experimentParentCount) + 1),
    date_collected: "2024-02-01",
    received_at: "2024-02-01T14:30:00",
    tube_type: index % 2 === 0 ? "EDTA" : "SST",
    volume_ml: 4.5 + (index % 8) / 8,
    aliquot_count: 4,
    fasting: index % 2 === 0,
    notes: null,
  }));
}

/** All that a record is made of; it does not depend on the number of other records. */
type RecordContext = {
  readonly options: SampleOptions;
  /** 1 for the first record of the table. */
  readonly number: number;
  readonly random: Random;
};

function openContext(table: SampleTable, number: number, options: SampleOptions): RecordContext {
  return { options, number, random: openRandom(mixSeed(options.seed, sampleTables.indexOf(table), number)) };
}

/** An id such as `GSID-3F9A01C20007`: eight random digits, then the number, so that no two are equal. */
function subjectId(options: SampleOptions, number: number): string {
  const chance = openRandom(mixSeed(options.seed, sampleTables.length, number)).hex(8);
  return `GSID-${chance}${number.toString(16).toUpperCase().padStart(4, "0")}`;
}

function anySubjectId({ random, options }: RecordContext): string {
  return subjectId(options, random.int(1, options.subjects));
}

/** An id such as `BLD-2026-000123`. */
export function sampleId(prefix: string, number: number, now: Date): string {
  return `${prefix}-${now.getUTCFullYear()}-${String(number).padStart(6, "0")}`;
}

export const centerCodes = ["CHI", "JHU", "MTL", "PIT", "TOR", "YAL", "CSM"] as const;

/** A subject that enrolled 1,000 to 2,000 days ago, before any sample was taken. */
function subjectRecord({ options, number, random }: RecordContext): JsonObject {
  const { now } = options;
  const age = random.int(20, 85);
  const diagnosis = random.pick(["CD", "CD", "UC", "UC", "IC", "control"]);
  const updated = new Date(now.getTime() - random.int(30 * dayMilliseconds, 700 * dayMilliseconds));
  return {
    global_subject_id: subjectId(options, number),
    center_code: random.pick(centerCodes),
    family_id: random.chance(0.3) ? `FAM-${random.int(1, 400)}` : null,
    sex: random.pick(["female", "female", "female", "male", "male", "male", "other", "unknown"]),
    year_of_birth: orNothing(random, now.getUTCFullYear() - age),
    diagnosis,
    age_at_diagnosis: diagnosis === "control" ? null : orNothing(random, random.decimal(5, age - 7, 1)),
    date_enrolled: dateBefore(now, random.int(1_000, 2_000)),
    consent: true,
    consent_version: random.pick(["v1.0", "v1.1", "v2.0"]),
    date_withdrawn: random.chance(0.02) ? dateBefore(now, random.int(0, 9)) : null,
    source_updated_at: updated.toISOString(),
    created_by: random.pick(["redcap_export", "m.alvarez", "center_upload"]),
  };
}

/** A date 10 to 900 days ago: after every enrolment, and early enough that all later dates lie in the past, too. */
function collectedOn({ random, options }: RecordContext): string {
  return dateBefore(options.now, random.int(10, 900));
}

function bloodRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const collected = collectedOn(context);
  return {
    sample_id: sampleId("BLD", number, options.now),
    global_subject_id: anySubjectId(context),
    date_collected: collected,
    // No offset: the contract names the time zone of the receiving laboratory.
    received_at: orNothing(random, `${addDays(collected, random.int(0, 2))}T${workingTime(random)}`),
    tube_type: random.pick(["EDTA", "EDTA", "ACD", "SST", "heparin", "PAXgene"]),
    volume_ml: orNothing(random, random.decimal(2, 10, 3)),
    aliquot_count: random.int(1, 8),
    fasting: orNothing(random, random.chance(0.5)),
    notes: random.chance(0.1) ? random.pick(["slight hemolysis", "tube under-filled", "drawn at home visit"]) : null,
  };
}

function specimenRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const collected = collectedOn(context);
  const type = random.pick(["blood", "saliva", "buccal_swab", "stool", "biopsy"]);
  const unit = type === "buccal_swab" ? "swab" : type === "blood" || type === "saliva" ? "mL" : "mg";
  return {
    sample_id: sampleId("SPC", number, options.now),
    global_subject_id: anySubjectId(context),
    specimen_type: type,
    date_collected: collected,
    received_at: orNothing(random, `${addDays(collected, 1)}T${workingTime(random)}${random.pick(["Z", "-05:00"])}`),
    quantity: unit === "swab" ? random.int(1, 4) : random.decimal(0.5, 250, 3),
    quantity_unit: unit,
    storage_temperature_c: random.pick([-80, -80, -20, -196]),
    freezer_position: orNothing(random, freezerPosition(random)),
    available: random.chance(0.95),
    tags: random.chance(0.3) ? ["baseline", random.pick(["priority", "shared, external", 'label "B"'])] : null,
  };
}

function serumRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const collected = collectedOn(context);
  return {
    sample_id: sampleId("SER", number, options.now),
    global_subject_id: anySubjectId(context),
    date_collected: collected,
    processed_at: orNothing(random, `${collected}T${workingTime(random)}Z`),
    volume_ml: random.decimal(0.2, 4.5, 3),
    aliquot_count: random.int(1, 10),
    freeze_thaw_cycles: random.int(0, 4),
    hemolysed: orNothing(random, random.pick(["N", "N", "N", "Y"])),
    storage_temperature_c: orNothing(random, -80),
  };
}

function plasmaRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const collected = collectedOn(context);
  return {
    sample_id: sampleId("PLA", number, options.now),
    global_subject_id: anySubjectId(context),
    date_collected: collected,
    processed_at: orNothing(random, `${collected} ${workingTime(random)}+00:00`),
    tube_type: random.pick(["EDTA", "EDTA", "ACD", "heparin"]),
    // Text with trailing zeros, as a spreadsheet exports it.
    volume_ml: orNothing(random, random.decimal(0.2, 4.5, 2).toFixed(3)),
    aliquot_count: orNothing(random, random.int(1, 10)),
    spin_rcf: random.pick([1_500, 2_000, 3_000]),
    platelet_poor: random.pick(["yes", "no"]),
  };
}

function stoolRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const collected = collectedOn(context);
  return {
    sample_id: sampleId("STL", number, options.now),
    global_subject_id: anySubjectId(context),
    date_collected: collected,
    received_at: orNothing(random, `${addDays(collected, random.int(0, 3))}T${workingTime(random)}Z`),
    weight_g: orNothing(random, random.decimal(1, 120, 3)),
    bristol_scale: orNothing(random, random.int(1, 7)),
    preservative: random.pick(["none", "ethanol 95%", "RNAlater", "OMNIgene·GUT"]),
    calprotectin_ug_g: orNothing(random, random.decimal(10, 1_800, 1)),
    minutes_to_freezer: random.int(5, 2_880),
  };
}

const pathologyNotes = [
  "no granuloma seen",
  'mild chronic inflammation; "focal" cryptitis',
  "ulceration ≥ 5 mm\nadjacent mucosa normal",
  "crypt architecture\tpreserved",
  "épithélium conservé",
  "NA",
] as const;

function tissueRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  return {
    // The row number of the exporting system: one of the contract's exclude_fields, never written.
    Id: 400_000 + number,
    sample_id: sampleId("TIS", number, options.now),
    global_subject_id: anySubjectId(context),
    date_collected: collectedOn(context),
    anatomical_site: random.pick(["terminal ileum", "cecum", "ascending colon", "sigmoid colon", "rectum"]),
    preservation: random.pick(["FFPE", "snap_frozen", "OCT", "RNAlater"]),
    inflamed: orNothing(random, random.chance(0.4)),
    weight_mg: orNothing(random, random.decimal(2, 60, 3)),
    block_count: random.int(0, 6),
    pathology_note: random.chance(0.6) ? random.pick(pathologyNotes) : null,
  };
}

function lclRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const established = dateBefore(options.now, random.int(200, 900));
  return {
    global_subject_id: anySubjectId(context),
    niddk_no: String(number).padStart(7, "0"),
    date_established: established,
    passage_number: random.int(1, 12),
    cell_count: orNothing(random, random.int(500, 25_000) * 1_000),
    viability_percent: orNothing(random, random.decimal(55, 99.5, 2)),
    mycoplasma_free: orNothing(random, random.chance(0.97)),
    last_passaged_at: orNothing(random, `${addDays(established, random.int(1, 190))}T${workingTime(random)}Z`),
    freezer_position: freezerPosition(random),
    created_by: random.pick(["cell_core", "t.okafor"]),
  };
}

const numberingOverlap = 100;

function specimenOf(number: number, { options }: RecordContext): JsonObject {
  return specimenRecord(openContext("specimen", number, options));
}

/**
 * DNA from the specimen with the same number. Every hundredth has the sample id of its predecessor under another
 * subject: only both fields together are the key.
 */
function dnaRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const source = specimenOf(number, context);
  const subject = source.global_subject_id as string;
  const overlaps = number % numberingOverlap === 0 && specimenOf(number - 1, context).global_subject_id !== subject;
  const quality = random.decimal(1.6, 2.1, 3);
  return {
    global_subject_id: subject,
    sample_id: sampleId("DNA", overlaps ? number - 1 : number, options.now),
    source_specimen_id: random.chance(0.8) ? (source.sample_id as string) : null,
    date_extracted: addDays(source.date_collected as string, random.int(1, 9)),
    concentration_ng_ul: orNothing(random, random.decimal(10, 900, 3)),
    volume_ul: orNothing(random, random.decimal(20, 400, 2)),
    quality_ratio: quality,
    passed_qc: quality >= 1.7,
    assay: random.chance(0.7)
      ? { instrument: random.pick(["NanoDrop", "Qubit 4"]), ratio_260_230: random.decimal(1.5, 2.4, 2), lanes: [1, 2] }
      : null,
    created_by: random.pick(["dna_core", "s.lindqvist"]),
  };
}

/** RNA from the blood draw with the same number. */
function rnaRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const source = bloodRecord(openContext("blood", number, options));
  return {
    sample_id: sampleId("RNA", number, options.now),
    global_subject_id: source.global_subject_id as string,
    blood_sample_id: random.chance(0.8) ? (source.sample_id as string) : null,
    date_extracted: addDays(source.date_collected as string, random.int(1, 9)),
    rin: orNothing(random, random.decimal(4, 10, 1)),
    concentration_ng_ul: orNothing(random, random.decimal(5, 600, 3)),
    volume_ul: random.decimal(20, 120, 2),
    dnase_treated: random.pick(["t", "f"]),
    extraction_run: uuid(random),
  };
}
