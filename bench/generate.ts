import { openRandom } from "../lib/local/sample/values.ts";
import { type Dataset, type Row, rowOf, type Value } from "./datasets.ts";

/** Records as a stream of text: JSON for us, CSV for psql, of the same rows in the same order. */

export type Range = {
  /** Records of the whole delivery. */
  readonly records: number;
  /** @default 0 */
  readonly from?: number;
  /** Position after the last one. @default records */
  readonly to?: number;
  /** @default 1 */
  readonly revision?: number;
  /** True where the keys ascend. @default false: they come in an order of chance, which is the same every time */
  readonly ascending?: boolean;
};

const rowsPerChunk = 1_000;

/** The rows at the positions of a range. */
export function* rowsOf(dataset: Dataset, range: Range): Generator<Row> {
  const { records, from = 0, to = records, revision = 1 } = range;
  const numberAt = range.ascending ? (position: number) => position : permutation(records);
  for (let position = from; position < to; position += 1) yield rowOf(dataset, numberAt(position), revision);
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

/** An empty field is null; an empty text would need its quotes. */
function toCsvField(value: Value): string {
  if (value === null) return "";
  const text = String(value);
  return text === "" || /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const shuffleSeed = 20_260_715;
/** Three are enough for a Feistel network to look like chance; one more costs little. */
const shuffleRounds = 4;

/**
 * Every number below `count` once, in an order of chance. The numbers lie in a rectangle whose rows and columns are
 * shifted in turn by amounts of chance (a Feistel network), so that it takes memory for the sides alone: 8,000
 * amounts for a million records. What is shifted out of the count is shifted again.
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
