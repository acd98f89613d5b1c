import type { JsonObject, JsonValue } from "../../core/json.ts";
import type { RejectCode } from "../../core/rejects.ts";
import { placeOf, toFragments } from "./fragments.ts";
import { sampleId } from "./record-context.ts";
import { mapTables, sampleRecords } from "./sample-records.ts";
import type { BrokenRecord, SampleFragment, SampleOptions, SampleTable } from "./types.ts";

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
