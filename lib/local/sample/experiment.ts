import type { JsonObject } from "../../core/json.ts";
import type { SampleFragment } from "./types.ts";

/** Parents that `table-loader local seed` loads, so that a batch of one's own has subjects to refer to. */
export const experimentParentCount = 10;

/** `GSID-SEED-0001` for the first. */
export function experimentParentId(number: number): string {
  return `GSID-SEED-${String(number).padStart(4, "0")}`;
}

/** Subjects `GSID-SEED-0001`, `GSID-SEED-0002` and so on. Always the same: loading them again changes nothing. */
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

/**
 * Records for a `blood.json` of one's own, `BLD-SEED-0001` and so on. They go round the first ten experiment parents,
 * so those must be there.
 */
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
