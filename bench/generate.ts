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
  /** @default false: keys ascend */
  readonly shuffled?: boolean;
};

const rowsPerChunk = 1_000;

/** The rows at the positions of a range. */
export function* rowsOf(dataset: Dataset, range: Range): Generator<Row> {
  const { records, from = 0, to = records, revision = 1 } = range;
  const numberAt = range.shuffled ? permutation(records) : (position: number) => position;
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

/** Every number below `count` once, far from its neighbours: a step that has no divisor in common with the count. */
function permutation(count: number): (position: number) => number {
  let step = Math.max(1, Math.floor(count * 0.618));
  while (greatestDivisor(step, count) !== 1) step += 1;
  return (position) => (position * step) % count;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
