import type { JsonObject } from "../../core/json.ts";
import { anySubjectId, type RecordContext, sampleId } from "./record-context.ts";
import { addDays, dateBefore, freezerPosition, orNothing, workingTime } from "./values.ts";

/** Collected 10 to 900 days ago: after every enrolment, and early enough that all that follows is past too. */
function collectedOn({ random, options }: RecordContext): string {
  return dateBefore(options.now, random.int(10, 900));
}

export function bloodRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const collected = collectedOn(context);
  return {
    sample_id: sampleId("BLD", number, options.now),
    global_subject_id: anySubjectId(context),
    date_collected: collected,
    // No offset: the contract says in which time zone the receiving laboratory's clock stands.
    received_at: orNothing(random, `${addDays(collected, random.int(0, 2))}T${workingTime(random)}`),
    tube_type: random.pick(["EDTA", "EDTA", "ACD", "SST", "heparin", "PAXgene"]),
    volume_ml: orNothing(random, random.decimal(2, 10, 3)),
    aliquot_count: random.int(1, 8),
    fasting: orNothing(random, random.chance(0.5)),
    notes: random.chance(0.1) ? random.pick(["slight hemolysis", "tube under-filled", "drawn at home visit"]) : null,
  };
}

export function specimenRecord(context: RecordContext): JsonObject {
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

export function serumRecord(context: RecordContext): JsonObject {
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

export function plasmaRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  const collected = collectedOn(context);
  return {
    sample_id: sampleId("PLA", number, options.now),
    global_subject_id: anySubjectId(context),
    date_collected: collected,
    processed_at: orNothing(random, `${collected} ${workingTime(random)}+00:00`),
    tube_type: random.pick(["EDTA", "EDTA", "ACD", "heparin"]),
    // As text with its trailing zeros, the way a spreadsheet exports it.
    volume_ml: orNothing(random, random.decimal(0.2, 4.5, 2).toFixed(3)),
    aliquot_count: orNothing(random, random.int(1, 10)),
    spin_rcf: random.pick([1_500, 2_000, 3_000]),
    platelet_poor: random.pick(["yes", "no"]),
  };
}

export function stoolRecord(context: RecordContext): JsonObject {
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

export function tissueRecord(context: RecordContext): JsonObject {
  const { random, number, options } = context;
  return {
    // The exporting system's own row number: one of the contract's exclude_fields, never written.
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
