import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../lib/core/json.ts";
import { parseFragmentKey, stagingPrefixOf } from "../../lib/core/keys.ts";
import { brokenBatch, sampleBatch, secondBatch } from "../../lib/local/sample/sample-batch.ts";
import { exampleBloodRecords, experimentParents } from "../../lib/local/sample/sample-records.ts";
import {
  defaultSampleSize,
  type SampleFragment,
  type SampleOptions,
  type SampleTable,
  sampleTables,
} from "../../lib/local/sample/values.ts";

type Contract = { natural_key: string[]; required_fields: string[]; newer_by?: string; columns?: object };

const now = new Date("2026-03-10T12:00:00Z");
const small: SampleOptions = { seed: 7, subjects: 60, samplesPerTable: 120, now };
const excluded = ["Id", "created_at", "updated_at"];
const read = (path: string): string => readFileSync(new URL(`../../config/${path}`, import.meta.url), "utf8");
const contracts = (JSON.parse(read("tables.json")) as { tables: Record<SampleTable, Contract> }).tables;

/** Column names as the schema's text declares them: lines of a create table that begin with a name and a type. */
function columnsOf(table: SampleTable): string[] {
  const body = new RegExp(`create table if not exists public\\.${table} \\(\\n([\\s\\S]*?)\\n\\);`).exec(
    read("sample-schema.sql"),
  )?.[1];
  return [...(body ?? "").matchAll(/^ {2}(?!constraint\b)([a-z_]+) /gm)].map((match) => match[1] as string);
}

function recordsIn({ fileName, body }: SampleFragment): JsonObject[] {
  const text = typeof body === "string" ? body : gunzipSync(body).toString("utf8");
  if (/\.(ndjson|jsonl)(\.gz)?$/.test(fileName)) return text.split("\n").filter(Boolean).map(parse);
  if (text === "") return [];
  const value: JsonObject[] | { records: JsonObject[] } = JSON.parse(text);
  return Array.isArray(value) ? value : value.records;
}

function parse(line: string): JsonObject {
  return JSON.parse(line) as JsonObject;
}

function recordsOf(table: SampleTable, fragments: readonly SampleFragment[]): JsonObject[] {
  return fragments.filter((fragment) => fragment.table === table).flatMap(recordsIn);
}

function keyOf(table: SampleTable, record: JsonObject): string {
  return contracts[table].natural_key.map((field) => record[field]).join("|");
}

function idsOf(table: SampleTable, field: string, ...batches: SampleFragment[][]): Set<unknown> {
  return new Set(batches.flatMap((batch) => recordsOf(table, batch).map((record) => record[field])));
}

describe("the contracts", () => {
  test("name the ten tables and only columns that the schema has", () => {
    expect(Object.keys(contracts).sort()).toEqual([...sampleTables].sort());
    for (const table of sampleTables) {
      const { natural_key, required_fields, newer_by, columns } = contracts[table];
      const named = [
        ...natural_key,
        ...required_fields,
        ...(newer_by ? [newer_by] : []),
        ...Object.keys(columns ?? {}),
      ];
      expect(columnsOf(table)).toEqual(expect.arrayContaining(named));
    }
  });

  test("have a plain unique constraint for every natural key", () => {
    for (const table of sampleTables) {
      const key = contracts[table].natural_key.join(", ");
      expect(read("sample-schema.sql")).toContain(`constraint ${table}_key unique (${key})`);
    }
  });
});

describe("sampleBatch", () => {
  const fragments = sampleBatch(small);

  test("is the same for the same seed, another for another", () => {
    expect(sampleBatch(small)).toEqual(fragments);
    expect(sampleBatch({ ...small, seed: 8 })).not.toEqual(fragments);
  });

  test("has about 10,000 records by default", () => {
    const batch = sampleBatch({ ...defaultSampleSize, now });
    const counts = sampleTables.map((table) => recordsOf(table, batch).length);
    expect(counts).toEqual(sampleTables.map(() => 1_000));
  });

  test("is laid out as the loader reads a batch", () => {
    const folder = stagingPrefixOf("batch_20260310_120000");
    for (const { table, fileName } of fragments) {
      expect(parseFragmentKey(`${folder}${fileName}`)).toMatchObject({ table });
    }
    expect(fragments.filter(({ table }) => table === "blood").map(({ fileName }) => fileName)).toEqual([
      "blood/part-0001.json",
      "blood/part-0002.json",
      "blood/_SUCCESS",
    ]);
  });

  test.each(sampleTables)("%s: keys are unique, fields are columns, what is required is there", (table) => {
    const records = recordsOf(table, fragments);
    const known = [...columnsOf(table), ...excluded];
    expect(records).toHaveLength(table === "subject" ? small.subjects : small.samplesPerTable);
    expect(new Set(records.map((record) => keyOf(table, record))).size).toBe(records.length);
    for (const record of records) {
      expect(known).toEqual(expect.arrayContaining(Object.keys(record)));
      for (const field of contracts[table].required_fields) expect(record[field]).not.toBeOneOf([undefined, null, ""]);
    }
  });

  test("refers only to parents of the batch", () => {
    const subjects = idsOf("subject", "global_subject_id", fragments);
    for (const table of sampleTables) {
      for (const record of recordsOf(table, fragments)) expect(subjects).toContain(record.global_subject_id);
    }
    const specimens = idsOf("specimen", "sample_id", fragments).add(null);
    const blood = idsOf("blood", "sample_id", fragments).add(null);
    for (const record of recordsOf("dna", fragments)) expect(specimens).toContain(record.source_specimen_id);
    for (const record of recordsOf("rna", fragments)) expect(blood).toContain(record.blood_sample_id);
  });

  test("tells a plausible story: enrolled, then collected, then received", () => {
    const enrolled = new Map(recordsOf("subject", fragments).map((each) => [each.global_subject_id, each]));
    for (const { global_subject_id, date_collected, received_at } of recordsOf("blood", fragments)) {
      const subject = enrolled.get(global_subject_id ?? null);
      expect(`${subject?.date_enrolled}` < `${date_collected}`).toBe(true);
      if (`${received_at}`.startsWith("20")) expect(`${received_at}` >= `${date_collected}`).toBe(true);
    }
  });

  test("writes nothing as null, as NA and as empty text", () => {
    const volumes = sampleBatch({ ...defaultSampleSize, now });
    const seen = new Set(recordsOf("blood", volumes).map((record) => record.volume_ml));
    for (const nothing of [null, "NA", ""]) expect(seen).toContain(nothing);
  });
});

describe("secondBatch", () => {
  const first = sampleBatch(small);
  const { fragments, expected } = secondBatch(small);

  test.each(sampleTables)("%s: the expected counts add up to its records", (table) => {
    const records = recordsOf(table, fragments);
    const { inserted, updated, unchanged, skipped } = expected[table];
    const known = new Set(recordsOf(table, first).map((record) => keyOf(table, record)));
    expect(inserted + updated + unchanged + skipped).toBe(records.length);
    expect(records.filter((record) => !known.has(keyOf(table, record)))).toHaveLength(inserted);
    expect(new Set(records.map((record) => keyOf(table, record))).size).toBe(records.length);
  });

  test("has every fate that its contracts can give", () => {
    expect(expected.subject).toEqual({ inserted: 3, updated: 6, unchanged: 6, skipped: 6 });
    expect(expected.lcl).toEqual({ inserted: 6, updated: 12, unchanged: 24, skipped: 0 });
    expect(expected.dna).toEqual({ inserted: 6, updated: 12, unchanged: 24, skipped: 0 });
    expect(expected.specimen).toEqual({ inserted: 6, updated: 12, unchanged: 12, skipped: 0 });
    expect(expected.tissue).toEqual({ inserted: 6, updated: 0, unchanged: 0, skipped: 12 });
  });

  test("refers only to subjects of the two batches", () => {
    const subjects = idsOf("subject", "global_subject_id", first, fragments);
    for (const table of sampleTables) {
      for (const record of recordsOf(table, fragments)) expect(subjects).toContain(record.global_subject_id);
    }
    const blood = idsOf("blood", "sample_id", first, fragments).add(null);
    for (const record of recordsOf("rna", fragments)) expect(blood).toContain(record.blood_sample_id);
    const specimens = idsOf("specimen", "sample_id", first, fragments).add(null).add(undefined);
    for (const record of recordsOf("dna", fragments)) expect(specimens).toContain(record.source_specimen_id);
  });
});

describe("brokenBatch", () => {
  test("names the three records that are broken, and is good otherwise", () => {
    const { fragments, broken } = brokenBatch(small);
    expect(broken.map(({ table, code }) => `${table} ${code}`)).toEqual([
      "blood VALUE_TYPE",
      "plasma VALUE_ENUM",
      "serum CONSTRAINT_FK",
    ]);
    const values = broken.map(({ fileName, record, field }) => {
      const fragment = fragments.find((each) => each.fileName === fileName);
      return fragment && recordsIn(fragment)[record - 1]?.[field];
    });
    expect(values).toEqual(["12,5", "EDTA-K3", "GSID-MISSING-0001"]);
    for (const table of ["blood", "plasma", "serum"] as const) {
      expect(new Set(recordsOf(table, fragments).map((record) => keyOf(table, record))).size).toBe(121);
    }
  });
});

describe("the experiment", () => {
  test("its blood records are columns and refer to its parents", () => {
    const parents = new Set(recordsIn(experimentParents()).map((record) => record.global_subject_id));
    const blood = exampleBloodRecords(25);
    expect(parents).toContain("GSID-SEED-0001");
    expect(new Set(blood.map((record) => record.sample_id)).size).toBe(25);
    for (const record of blood) {
      expect(parents).toContain(record.global_subject_id);
      expect(columnsOf("blood")).toEqual(expect.arrayContaining(Object.keys(record)));
    }
  });
});
