/** Small records for the sample's tables: whole flows need few of them, and keys that no other test uses. */

/** `count` participants whose ids begin with `prefix`. */
export function subjects(prefix: string, count: number, more: object = {}): object[] {
  return numbers(count).map((number) => ({ ...subject(`${prefix}-${number}`), ...more }));
}

export function subject(id: string): Record<string, unknown> {
  return {
    global_subject_id: id,
    center_code: "CHI",
    date_enrolled: "2020-01-01",
    consent: true,
    source_updated_at: "2024-01-01T00:00:00Z",
  };
}

/** `count` blood samples, sample n of participant n. */
export function bloods(prefix: string, count: number, more: object = {}): object[] {
  return numbers(count).map((number) => ({
    sample_id: `${prefix}-B${number}`,
    global_subject_id: `${prefix}-${number}`,
    date_collected: "2024-05-06",
    tube_type: "EDTA",
    volume_ml: number,
    ...more,
  }));
}

/** `count` inventory rows, specimen n of participant n. */
export function specimens(prefix: string, count: number, more: object = {}): object[] {
  return numbers(count).map((number) => ({
    sample_id: `${prefix}-S${number}`,
    global_subject_id: `${prefix}-${number}`,
    specimen_type: "saliva",
    date_collected: "2024-05-06",
    quantity: 1,
    ...more,
  }));
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
