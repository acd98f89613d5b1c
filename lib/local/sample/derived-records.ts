import type { JsonObject } from "../../core/json.ts";
import { bloodRecord, specimenRecord } from "./collected-records.ts";
import { anySubjectId, openContext, type RecordContext, sampleId } from "./record-context.ts";
import { addDays, dateBefore, freezerPosition, orNothing, uuid, workingTime } from "./values.ts";

export function lclRecord(context: RecordContext): JsonObject {
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
 * Extracted from the specimen with the same number. Every hundredth has its predecessor's sample id under another
 * subject: only both fields together are the key.
 */
export function dnaRecord(context: RecordContext): JsonObject {
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

/** Extracted from the blood draw with the same number. */
export function rnaRecord(context: RecordContext): JsonObject {
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
