import type { JsonObject } from "../../core/json.ts";
import type { RejectCode } from "../../core/rejects.ts";

/** The tables of config/sample-schema.sql, parents before children. */
export const sampleTables = [
  "subject",
  "blood",
  "lcl",
  "specimen",
  "dna",
  "rna",
  "serum",
  "plasma",
  "stool",
  "tissue",
] as const;

export type SampleTable = (typeof sampleTables)[number];

export type SampleOptions = {
  /** An integer. Seeds differ in every value but the sample ids, which count from 1. */
  readonly seed: number;
  /** At least 1. */
  readonly subjects: number;
  /** Records of each of the nine tables below subject. */
  readonly samplesPerTable: number;
  /** The clock: every date lies before it. */
  readonly now: Date;
};

/** About 10,000 records in all. */
export const defaultSampleSize = { seed: 1, subjects: 1_000, samplesPerTable: 1_000 } as const;

export type SampleFragment = {
  readonly table: SampleTable;
  /** Below the batch's folder: `subject.json`, `blood/part-0001.json`, `blood/_SUCCESS`. */
  readonly fileName: string;
  readonly body: string | Uint8Array;
};

export type SampleRecords = Readonly<Record<SampleTable, readonly JsonObject[]>>;

/** What a load of the second batch has to report. */
export type ExpectedCounts = {
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly skipped: number;
};

/** A record that the loader has to reject. */
export type BrokenRecord = {
  readonly table: SampleTable;
  readonly fileName: string;
  /** 1 for the first record of the fragment. */
  readonly record: number;
  readonly field: string;
  readonly code: RejectCode;
};
