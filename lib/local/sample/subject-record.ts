import type { JsonObject } from "../../core/json.ts";
import { type RecordContext, subjectId } from "./record-context.ts";
import { dateBefore, orNothing } from "./values.ts";

export const centerCodes = ["CHI", "JHU", "MTL", "PIT", "TOR", "YAL", "CSM"] as const;

/** Enrolled 1,000 to 2,000 days ago, that is, before any sample was taken. */
export function subjectRecord({ options, number, random }: RecordContext): JsonObject {
  const { now } = options;
  const age = random.int(20, 85);
  const diagnosis = random.pick(["CD", "CD", "UC", "UC", "IC", "control"]);
  const updated = new Date(now.getTime() - random.int(30 * 86_400_000, 700 * 86_400_000));
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
