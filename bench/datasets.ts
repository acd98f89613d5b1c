import { mixSeed, openRandom, type Random } from "../lib/local/sample/values.ts";

/** The data sets of the benchmarks. A value follows from its record's number, so that every program gets the same rows. */

export type Value = string | number | boolean | null;

type Field = {
  readonly name: string;
  readonly type: string;
  readonly notNull?: boolean;
  /** True if the field has another value in every revision of the record. */
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

/** A composite key and one value: the smallest record there is. */
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

/** A surrogate key, a unique natural key and no further constraint: every program has to keep both. */
export function tableSql({ table, key, fields }: Dataset): string {
  const columns = fields.map(({ name, type, notNull }) => `${name} ${type}${notNull ? " not null" : ""}`);
  const own = ["id bigserial primary key", ...columns, `constraint ${table}_key unique (${key.join(", ")})`];
  return `create table public.${table} (${own.join(", ")})`;
}

export type Row = readonly Value[];

type Range = {
  /** Records of the whole delivery. */
  readonly records: number;
  /** @default 0 */
  readonly from?: number;
  /** Position after the last one. @default records */
  readonly to?: number;
  /** @default 1 */
  readonly revision?: number;
  /** True if the keys ascend. @default false: a random order, which is the same every time */
  readonly ascending?: boolean;
};

/** The rows at the positions of a range. */
export function* rowsOf(dataset: Dataset, range: Range): Generator<Row> {
  const { records, from = 0, to = records, revision = 1 } = range;
  const numberAt = range.ascending ? (position: number) => position : permutation(records);
  for (let position = from; position < to; position += 1) yield rowOf(dataset, numberAt(position), revision);
}

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

/** `{"records":[...]}`, in chunks. */
export function* jsonOf(dataset: Dataset, range: Range): Generator<string> {
  const names = dataset.fields.map(({ name }) => JSON.stringify(name));
  let separator = "";
  yield '{"records":[\n';
  for (const rows of chunksOf(rowsOf(dataset, range))) {
    yield separator + rows.map((row) => toJson(names, row)).join(",\n");
    separator = ",\n";
  }
  yield "\n]}\n";
}

/** CSV without a header, as `\copy ... with (format csv)` reads it. */
export function* csvOf(dataset: Dataset, range: Range): Generator<string> {
  for (const rows of chunksOf(rowsOf(dataset, range)))
    yield rows.map((row) => `${row.map(toCsvField).join(",")}\n`).join("");
}

const rowsPerChunk = 1_000;

function* chunksOf(rows: Iterable<Row>): Generator<Row[]> {
  let chunk: Row[] = [];
  for (const row of rows) {
    if (chunk.push(row) < rowsPerChunk) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

function toJson(names: readonly string[], row: Row): string {
  return `{${row.map((value, index) => `${names[index]}:${JSON.stringify(value)}`).join(",")}}`;
}

/** An empty field is null, so that an empty text needs quotes. */
function toCsvField(value: Value): string {
  if (value === null) return "";
  const text = String(value);
  return text === "" || /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const shuffleSeed = 20_260_715;
/** Three are enough for a Feistel network to look random; one more costs little. */
const shuffleRounds = 4;

/**
 * Every number below `count` once, in random order. The numbers lie in a rectangle whose rows and columns are
 * shifted in turn by random amounts (a Feistel network), so that it takes memory for the sides alone: 8,000
 * amounts for a million records. A number that is not below the count is shifted again.
 */
function permutation(count: number): (position: number) => number {
  const width = Math.ceil(Math.sqrt(count));
  const height = Math.ceil(count / width);
  const random = openRandom(shuffleSeed);
  const amounts = (length: number, below: number) => Array.from({ length }, () => random.int(0, below - 1));
  const rounds = Array.from({ length: shuffleRounds }, () => ({
    ofRow: amounts(height, width),
    ofColumn: amounts(width, height),
  }));
  const shift = (number: number): number => {
    let row = Math.floor(number / width);
    let column = number % width;
    for (const { ofRow, ofColumn } of rounds) {
      column = (column + (ofRow[row] ?? 0)) % width;
      row = (row + (ofColumn[column] ?? 0)) % height;
    }
    return row * width + column;
  };
  return (position) => {
    let number = shift(position);
    while (number >= count) number = shift(number);
    return number;
  };
}
