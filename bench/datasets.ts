import { mixSeed, openRandom, type Random } from "../lib/local/sample/values.ts";

/** What the benchmarks load. Every value follows from its record's number, so that each program gets the same rows. */

export type Value = string | number | boolean | null;

export type Field = {
  readonly name: string;
  readonly type: string;
  readonly notNull?: boolean;
  /** True where the field has another value in every revision of the record. */
  readonly revised?: boolean;
  /** @param number of the record, from 0 */
  readonly value: (random: Random, number: number) => Value;
};

export type Dataset = {
  readonly table: string;
  /** The natural key, with a unique constraint. */
  readonly key: readonly string[];
  readonly fields: readonly Field[];
};

export type Row = readonly Value[];

const seed = 20_260_714;

/**
 * The values of one record, in the order of the fields.
 *
 * @param revision 1, or the number of a later delivery: every second record has other values in its revised fields
 */
export function rowOf(dataset: Dataset, number: number, revision = 1): Row {
  const stable = openRandom(mixSeed(seed, 0, number));
  const revised = openRandom(mixSeed(seed, number % 2 === 0 ? revision : 1, number));
  return dataset.fields.map((field) => field.value(field.revised ? revised : stable, number));
}

/** Eight digits a draw: a million records need many. */
function hex(random: Random, digits: number): string {
  if (digits > 8) return hex(random, 8) + hex(random, digits - 8);
  return random
    .int(0, 16 ** digits - 1)
    .toString(16)
    .padStart(digits, "0");
}

const pad = (number: number, digits: number): string => String(number).padStart(digits, "0");
const day = (random: Random): string =>
  `${random.int(2015, 2025)}-${pad(random.int(1, 12), 2)}-${pad(random.int(1, 28), 2)}`;
const clock = (random: Random): string =>
  `${pad(random.int(0, 23), 2)}:${pad(random.int(0, 59), 2)}:${pad(random.int(0, 59), 2)}`;
const moment = (random: Random): string => `${day(random)}T${clock(random)}Z`;
const tubes = ["EDTA", "ACD", "SST", "heparin", "PAXgene"];
const notes = ["drawn at the second visit", "short draw", 'labelled "repeat"', "no remark"];

/** Nine columns, five of them typed: 233 bytes of JSON a record. */
export function blood(table = "blood"): Dataset {
  return {
    table,
    key: ["sample_id"],
    fields: [
      { name: "sample_id", type: "text", notNull: true, value: (_, number) => `BLD-${pad(number, 10)}` },
      { name: "global_subject_id", type: "text", notNull: true, value: (random) => `GSID-${hex(random, 12)}` },
      { name: "date_collected", type: "date", notNull: true, value: day },
      { name: "received_at", type: "timestamptz", value: moment },
      { name: "tube_type", type: "text", notNull: true, value: (random) => random.pick(tubes) },
      { name: "volume_ml", type: "numeric(8,3)", revised: true, value: (random) => random.decimal(0.5, 20, 3) },
      { name: "aliquot_count", type: "integer", revised: true, value: (random) => random.int(0, 40) },
      { name: "fasting", type: "boolean", value: (random) => random.chance(0.5) },
      { name: "notes", type: "text", value: (random) => (random.chance(0.2) ? null : random.pick(notes)) },
    ],
  };
}

/** A composite key and one value: the least that a record can be. */
export const narrow: Dataset = {
  table: "reading",
  key: ["subject_no", "visit_no"],
  fields: [
    { name: "subject_no", type: "integer", notNull: true, value: (_, number) => Math.floor(number / 10) },
    { name: "visit_no", type: "integer", notNull: true, value: (_, number) => number % 10 },
    { name: "reading", type: "numeric(10,4)", revised: true, value: (random) => random.decimal(0, 1000, 4) },
  ],
};

type Kind = Pick<Field, "type" | "value">;

const uuid = (random: Random): string => [8, 4, 4, 4, 12].map((digits) => hex(random, digits)).join("-");

const kinds: readonly Kind[] = [
  { type: "text", value: (random) => hex(random, random.int(4, 24)) },
  { type: "integer", value: (random) => random.int(-1_000_000, 1_000_000) },
  { type: "numeric(12,3)", value: (random) => random.decimal(0, 100_000, 3) },
  { type: "date", value: day },
  { type: "timestamptz", value: moment },
  { type: "boolean", value: (random) => random.chance(0.5) },
  { type: "bigint", value: (random) => random.int(0, 2 ** 31) },
  { type: "uuid", value: uuid },
  { type: "double precision", value: (random) => random.decimal(-1, 1, 6) },
  { type: "smallint", value: (random) => random.int(0, 300) },
];

const orNull =
  (value: Field["value"]): Field["value"] =>
  (random, number) =>
    random.chance(0.1) ? null : value(random, number);

/** Sixty columns of ten types, a tenth of the values null. */
export const wide: Dataset = {
  table: "survey",
  key: ["survey_id"],
  fields: [
    { name: "survey_id", type: "text", notNull: true, value: (_, number) => `SRV-${pad(number, 10)}` },
    ...Array.from({ length: 59 }, (_, index): Field => {
      const { type, value } = kinds[index % kinds.length] as Kind;
      return { name: `field_${pad(index + 1, 2)}`, type, revised: index < 3, value: orNull(value) };
    }),
  ],
};

/** Surrogate key, unique natural key, and no constraint besides: what every program has to keep. */
export function tableSql({ table, key, fields }: Dataset): string {
  const columns = fields.map(({ name, type, notNull }) => `${name} ${type}${notNull ? " not null" : ""}`);
  const own = ["id bigserial primary key", ...columns, `constraint ${table}_key unique (${key.join(", ")})`];
  return `create table public.${table} (${own.join(", ")})`;
}
