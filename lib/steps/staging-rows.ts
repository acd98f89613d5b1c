import { toCopyFields } from "../core/copy-text.ts";
import { addFingerprints, fingerprintOf } from "../core/fingerprint.ts";
import type { JsonObject } from "../core/json.ts";
import type { TablePlan } from "../core/plan.ts";
import type { SliceProgress, WorkItem } from "../core/ports.ts";
import type { RecordGroup, SourceRecord } from "../core/records.ts";
import { cutRaw, maxStoredRejects, type Reject, showName } from "../core/rejects.ts";
import { type FieldFault, type Transform, transformOf } from "../core/transform.ts";

/** What one slice made of its records besides rows. */
type Collected = Pick<SliceProgress, "rejects" | "rejected" | "nulled" | "fingerprint">;

/** Turns one slice's record groups into lines of COPY text, and collects rejects and the fingerprint on the way. */
export type SliceRows = {
  /** A line of COPY text for every record that is not rejected. */
  readonly add: (group: RecordGroup) => string[];
  readonly end: () => Collected;
};

export type StagingTable = {
  readonly plan: TablePlan;
  readonly index: number;
  readonly begin: (item: WorkItem) => SliceRows;
};

export function stagingOf(plan: TablePlan, index: number): StagingTable {
  const transform = transformOf(plan);
  return { plan, index, begin: (item) => beginSlice(transform, item) };
}

function beginSlice(transform: Transform, item: WorkItem): SliceRows {
  const rejects: Reject[] = [];
  let rejected = 0;
  let nulled = 0;
  let fingerprint = 0n;

  const reject = (group: RecordGroup, record: SourceRecord, faults: readonly FieldFault[]): void => {
    rejected += 1;
    if (rejects.length >= maxStoredRejects) return;
    const raw = cutRaw(group.rawText(record));
    const place = { table: item.table, key: item.object.key, record: record.number, constraint: null, raw };
    rejects.push(...faults.map((fault) => ({ ...place, ...fault })));
  };

  const add = (group: RecordGroup): string[] => {
    const lines: string[] = [];
    for (const record of group.records) {
      // The reader hands over objects only: anything else is JSON_SHAPE there.
      const row = record.duplicate === null ? transform(record.value as JsonObject) : nameTwice(record.duplicate);
      if ("faults" in row) {
        reject(group, record, row.faults);
        fingerprint = addFingerprints(fingerprint, fingerprintOf(group.rawText(record)));
        continue;
      }
      const fields = toCopyFields(row.values);
      nulled += row.nulled;
      fingerprint = addFingerprints(fingerprint, fingerprintOf(`${row.absent ?? ""}\t${fields}`));
      lines.push(`${item.itemId}\t${record.number}\t${row.absent ?? "\\N"}\t${fields}\n`);
    }
    return lines;
  };

  return { add, end: () => ({ rejects, rejected, nulled, fingerprint }) };
}

/** Which of the two values was meant, nobody can tell. */
function nameTwice(name: string): { readonly faults: readonly FieldFault[] } {
  const [expected, got] = ["each name once in a record", "the name twice"];
  return { faults: [{ field: showName(name), code: "COLUMN_AMBIGUOUS", expected, got }] };
}
