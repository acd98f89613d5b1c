import type { JsonObject, JsonValue } from "../../core/json.ts";
import type { RejectCode } from "../../core/rejects.ts";

/** Names and options of the sample, and the random values that its records are made of. */

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
  /** An integer. It changes every value except the sample ids, which count from 1. */
  readonly seed: number;
  /** At least 1. */
  readonly subjects: number;
  /** Records of each of the nine tables below subject. */
  readonly samplesPerTable: number;
  /** The clock: every date lies before it. */
  readonly now: Date;
};

/** Size of about 10,000 records in all. */
export const defaultSampleSize = { seed: 1, subjects: 1_000, samplesPerTable: 1_000 } as const;

export type SampleFragment = {
  readonly table: SampleTable;
  /** Path below the batch's folder: `subject.json`, `blood/part-0001.json`, `blood/_SUCCESS`. */
  readonly fileName: string;
  readonly body: string | Uint8Array;
};

export type SampleRecords = Readonly<Record<SampleTable, readonly JsonObject[]>>;

/** Counts that the load of the second batch has to report. */
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

export const dayMilliseconds = 86_400_000;

/** A date such as `2026-03-01`, a number of days before the clock (UTC). */
export function dateBefore(now: Date, days: number): string {
  return new Date(now.getTime() - days * dayMilliseconds).toISOString().slice(0, 10);
}

export function addDays(date: string, days: number): string {
  return dateBefore(new Date(`${date}T00:00:00Z`), -days);
}

/** A time in working hours: daylight saving time begins and ends at night, so none is ambiguous. */
export function workingTime(random: Random): string {
  const pad = (value: number): string => String(value).padStart(2, "0");
  return `${pad(random.int(8, 17))}:${pad(random.int(0, 59))}:${pad(random.int(0, 59))}`;
}

/** The value in 94 % of the calls, else nothing as real exports spell it. For nullable columns only. */
export function orNothing(random: Random, value: JsonValue): JsonValue {
  if (random.chance(0.94)) return value;
  return random.pick([null, null, "NA", ""]);
}

/** A position in a freezer: freezer, rack, box, well. */
export function freezerPosition(random: Random): string {
  return `F${random.int(1, 24)}-R${random.int(1, 12)}-B${random.int(1, 40)}-${random.pick([..."ABCDEFGHI"])}${random.int(1, 9)}`;
}

export function uuid(random: Random): string {
  const hex = (digits: number): string => random.hex(digits).toLowerCase();
  return [hex(8), hex(4), `4${hex(3)}`, `a${hex(3)}`, hex(12)].join("-");
}

/** A seeded random generator: the same seed gives the same values on every machine. */
export type Random = {
  /** Includes both ends. */
  readonly int: (min: number, max: number) => number;
  /** Rounded to `digits` decimals, so that it fits a numeric column of that scale. */
  readonly decimal: (min: number, max: number, digits: number) => number;
  /** True in this share of the calls, 0 to 1. */
  readonly chance: (share: number) => boolean;
  readonly pick: <T>(choices: readonly T[]) => T;
  /** Hexadecimal digits in upper case. */
  readonly hex: (digits: number) => string;
};

/** The generator mulberry32: 32 bits of state are enough for a sample, and it needs no package. */
export function openRandom(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    int,
    decimal: (min, max, digits) => Number((min + next() * (max - min)).toFixed(digits)),
    chance: (share) => next() < share,
    pick: (choices) => choices[int(0, choices.length - 1)] as (typeof choices)[number],
    hex: (digits) => Array.from({ length: digits }, () => int(0, 15).toString(16).toUpperCase()).join(""),
  };
}

/** Makes one seed of three numbers, so that each record has its own stream and can be made without the others. */
export function mixSeed(seed: number, stream: number, number: number): number {
  const mixed = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35);
  return Math.imul(mixed ^ (mixed >>> 13), 0x27d4eb2f) ^ Math.imul(number, 0x165667b1);
}
