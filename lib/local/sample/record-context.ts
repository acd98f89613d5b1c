import { mixSeed, openRandom, type Random } from "./random.ts";
import { type SampleOptions, type SampleTable, sampleTables } from "./types.ts";

/** All that one record is made of: no record depends on how many others there are. */
export type RecordContext = {
  readonly options: SampleOptions;
  /** 1 for the first record of the table. */
  readonly number: number;
  readonly random: Random;
};

export function openContext(table: SampleTable, number: number, options: SampleOptions): RecordContext {
  return { options, number, random: openRandom(mixSeed(options.seed, sampleTables.indexOf(table), number)) };
}

/** `GSID-3F9A01C20007`: chance, then the number, so that no two are equal. */
export function subjectId(options: SampleOptions, number: number): string {
  const chance = openRandom(mixSeed(options.seed, sampleTables.length, number)).hex(8);
  return `GSID-${chance}${number.toString(16).toUpperCase().padStart(4, "0")}`;
}

export function anySubjectId({ random, options }: RecordContext): string {
  return subjectId(options, random.int(1, options.subjects));
}

/** `BLD-2026-000123` */
export function sampleId(prefix: string, number: number, now: Date): string {
  return `${prefix}-${now.getUTCFullYear()}-${String(number).padStart(6, "0")}`;
}
