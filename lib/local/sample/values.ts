import type { JsonObject, JsonValue } from "../../core/json.ts";
import type { RejectCode } from "../../core/rejects.ts";

const dayMilliseconds = 86_400_000;

/** `2026-03-01`, so many days before the clock (UTC). */
export function dateBefore(now: Date, days: number): string {
  return new Date(now.getTime() - days * dayMilliseconds).toISOString().slice(0, 10);
}

export function addDays(date: string, days: number): string {
  return dateBefore(new Date(`${date}T00:00:00Z`), -days);
}

/** A time in working hours, which no change to or from daylight saving time can make ambiguous. */
export function workingTime(random: Random): string {
  const pad = (value: number): string => String(value).padStart(2, "0");
  return `${pad(random.int(8, 17))}:${pad(random.int(0, 59))}:${pad(random.int(0, 59))}`;
}

/** Mostly the value; now and then nothing, in the spellings that real exports have for it. Nullable columns only. */
export function orNothing(random: Random, value: JsonValue): JsonValue {
  if (random.chance(0.94)) return value;
  return random.pick([null, null, "NA", ""]);
}

/** A position as freezers are labelled: freezer, rack, box, well. */
export function freezerPosition(random: Random): string {
  return `F${random.int(1, 24)}-R${random.int(1, 12)}-B${random.int(1, 40)}-${random.pick([..."ABCDEFGHI"])}${random.int(1, 9)}`;
}

export function uuid(random: Random): string {
  const digits = random.hex(30).toLowerCase();
  const groups = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `4${digits.slice(12, 15)}`,
    `a${digits.slice(15, 18)}`,
    digits.slice(18),
  ];
  return groups.join("-");
}

/** A seeded source of chance: the same seed gives the same values on every machine. */
export type Random = {
  /** Both ends included. */
  readonly int: (min: number, max: number) => number;
  /** Rounded to `digits` decimals, so that it fits a numeric column of that scale. */
  readonly decimal: (min: number, max: number, digits: number) => number;
  /** True in this share of the calls, 0 to 1. */
  readonly chance: (share: number) => boolean;
  readonly pick: <T>(choices: readonly T[]) => T;
  /** Upper case hexadecimal digits. */
  readonly hex: (digits: number) => string;
};

/** mulberry32: 32 bits of state are plenty for a sample, and it needs no package. */
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

/** One seed out of three numbers, so that each record has its own stream and can be made without the others. */
export function mixSeed(seed: number, stream: number, number: number): number {
  const mixed = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35);
  return Math.imul(mixed ^ (mixed >>> 13), 0x27d4eb2f) ^ Math.imul(number, 0x165667b1);
}

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
