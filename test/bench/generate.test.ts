import { describe, expect, test } from "vitest";
import { blood, csvOf, type Dataset, jsonOf, narrow, rowOf, rowsOf, tableSql, wide } from "../../bench/datasets.ts";

const nine = blood();
const textOf = (chunks: Iterable<string>): string => [...chunks].join("");
const keysOf = (dataset: Dataset, rows: Iterable<readonly unknown[]>): string[] => {
  const places = dataset.key.map((name) => dataset.fields.findIndex((field) => field.name === name));
  return [...rows].map((row) => JSON.stringify(places.map((place) => row[place])));
};

describe.each([
  ["nine columns", nine],
  ["narrow", narrow],
  ["wide", wide],
])("the dataset of %s", (_name, dataset) => {
  const range = { records: 1_200 };

  test("is the same every time", () => {
    expect(textOf(jsonOf(dataset, range))).toBe(textOf(jsonOf(dataset, range)));
    expect(textOf(csvOf(dataset, range))).toBe(textOf(csvOf(dataset, range)));
  });

  test("is one JSON text that holds the rows of the CSV", () => {
    const { records } = JSON.parse(textOf(jsonOf(dataset, range))) as { records: Record<string, unknown>[] };
    expect(records.map((record) => Object.values(record))).toEqual([...rowsOf(dataset, range)]);
    expect(Object.keys(records[0] ?? {})).toEqual(dataset.fields.map(({ name }) => name));
    expect(textOf(csvOf(dataset, range)).split("\n")).toHaveLength(range.records + 1);
  });

  test("has every key once, in random or in ascending order", () => {
    const shuffled = keysOf(dataset, rowsOf(dataset, range));
    const ascending = keysOf(dataset, rowsOf(dataset, { ...range, ascending: true }));
    expect(ascending).toEqual(
      keysOf(
        dataset,
        Array.from({ length: range.records }, (_, at) => rowOf(dataset, at)),
      ),
    );
    expect(shuffled.toSorted()).toEqual(ascending.toSorted());
    expect(new Set(shuffled).size).toBe(range.records);
  });

  test("changes every second record in a later revision, and never a key", () => {
    const later = [...rowsOf(dataset, { ...range, revision: 2, ascending: true })];
    const changed = later.filter((row, number) => JSON.stringify(row) !== JSON.stringify(rowOf(dataset, number)));
    expect(changed.length).toBeGreaterThan(range.records * 0.49);
    expect(changed.length).toBeLessThanOrEqual(range.records * 0.5);
    expect(keysOf(dataset, later)).toEqual(keysOf(dataset, rowsOf(dataset, { ...range, ascending: true })));
  });
});

test("parts hold together what one object holds", () => {
  const range = { records: 100 };
  const parts = [0, 30, 60].map((from) => [...rowsOf(nine, { ...range, from, to: Math.min(from + 30, 100) })]);
  expect([...parts.flat(), ...rowsOf(nine, { ...range, from: 90 })]).toEqual([...rowsOf(nine, range)]);
});

test.each([1, 2, 3, 10, 50, 997, 10_000])("%d records in random order are all of them", (records) => {
  const keys = keysOf(narrow, rowsOf(narrow, { records }));
  expect(new Set(keys).size).toBe(records);
  expect(keys.toSorted()).toEqual(keysOf(narrow, rowsOf(narrow, { records, ascending: true })).toSorted());
});

test("in random order a key tells nothing about the next one", () => {
  const records = 10_000;
  const numbers = [...rowsOf(nine, { records })].map(([key]) => Number(String(key).slice(4)));
  const steps = numbers.slice(1).map((number, at) => number - (numbers[at] ?? 0));
  expect(Math.abs(steps.filter((step) => step < 0).length / records - 0.5)).toBeLessThan(0.02);
  // Two numbers of chance are a third of the count apart on average, and seldom as far as two others.
  expect(steps.reduce((sum, step) => sum + Math.abs(step), 0) / records / records).toBeCloseTo(1 / 3, 1);
  expect(new Set(steps).size).toBeGreaterThan(records * 0.5);
});

test("a record of nine columns has about 233 bytes of JSON", () => {
  const bytes = Buffer.byteLength(textOf(jsonOf(nine, { records: 1_000 }))) / 1_000;
  expect(Math.abs(bytes - 233)).toBeLessThan(5);
});

test("CSV quotes what would end a field, and leaves null empty", () => {
  const fields = ['say "yes", please', "", null, true, 1.5].map((value, index) => ({
    name: `f${index}`,
    type: "text",
    value: () => value,
  }));
  const dataset = { table: "t", key: ["f0"], fields };
  expect(textOf(csvOf(dataset, { records: 1 }))).toBe('"say ""yes"", please","",,true,1.5\n');
});

test("the table has a surrogate key and the natural one", () => {
  expect(tableSql(narrow)).toBe(
    "create table public.reading (id bigserial primary key, subject_no integer not null, visit_no integer not null, " +
      "reading numeric(10,4), constraint reading_key unique (subject_no, visit_no))",
  );
});
