import type { JsonObject } from "../../core/json.ts";
import {
  bloodRecord,
  plasmaRecord,
  serumRecord,
  specimenRecord,
  stoolRecord,
  tissueRecord,
} from "./collected-records.ts";
import { dnaRecord, lclRecord, rnaRecord } from "./derived-records.ts";
import { openContext, type RecordContext } from "./record-context.ts";
import { subjectRecord } from "./subject-record.ts";
import { type SampleOptions, type SampleRecords, type SampleTable, sampleTables } from "./types.ts";

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

/** How many records the first batch has of a table. */
export function countOf(table: SampleTable, options: SampleOptions): number {
  return table === "subject" ? options.subjects : options.samplesPerTable;
}

/** The records of the first batch. */
export function sampleRecords(options: SampleOptions): SampleRecords {
  return mapTables((table) =>
    Array.from({ length: countOf(table, options) }, (_, index) => recordOf(table, index + 1, options)),
  );
}
