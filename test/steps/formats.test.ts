import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { LoadResult, TableResult } from "../../lib/core/report.ts";
import type { Flow, RunResult } from "../support/flow.ts";
import { nextBatch, openPlainFlow, stagingKey } from "./bad-input-support.ts";

/** One content in every format: the same rows, the same counts, the same report. */

let flow: Flow;
beforeAll(async () => {
  flow = await openPlainFlow();
});
afterAll(() => flow.close());

const records = [
  { k: 1, n: 7, t: "a\tb\\N\n\\.", b: true, j: { a: [1, null] } },
  { k: 2, t: "🜁 é", b: false },
  { k: 3, n: null, t: "NA" },
];
const array = JSON.stringify(records);
const lines = records.map((record) => JSON.stringify(record));
const gzip = (text: string): Uint8Array => new Uint8Array(gzipSync(text));

async function load(name: string, body: unknown): Promise<RunResult> {
  await flow.sql`truncate plain cascade`;
  const batchId = nextBatch();
  await flow.put(stagingKey(batchId, name), body);
  await flow.queueRow({ batchId, table: "plain", approved: true });
  return flow.run({ batchId });
}

const countsOf = ({ output }: RunResult) => {
  const { tables } = output as { tables: { plain: Record<string, number> } };
  const { records_read: read, records_loaded: loaded, values_nulled: nulled } = tables.plain;
  return { read, loaded, nulled };
};

const formats: readonly (readonly [string, string, unknown])[] = [
  ["a bare array", "plain.json", array],
  ["an array with spaces and line ends", "plain.json", JSON.stringify(records, null, 2)],
  ["records", "plain.json", `{"records":${array}}`],
  ["metadata and records", "plain.json", `{"metadata":{"records":[1],"source":"x"},"records":${array}}`],
  ["records and trailers", "plain.json", `{"records":${array},"metadata":{"n":3}}`],
  ["a BOM (S15)", "plain.json", `\ufeff${array}`],
  ["NDJSON", "plain.ndjson", lines.join("\n")],
  ["NDJSON by another name (J04)", "plain.json", `${lines.join("\r\n\r\n")}\r\n`],
  ["gzip", "plain.json.gz", gzip(array)],
  ["gzip under a plain name (S12)", "plain.json", gzip(array)],
  [
    "a gzip of two members (S12)",
    "plain.ndjson.gz",
    Buffer.concat([gzip(`${lines[0]}\n${lines[1]}\n`), gzip(`${lines[2]}`)]),
  ],
];

test.each(formats)("A6, J02: %s", async (_, name, body) => {
  const run = await load(name, body);
  expect([run.status, run.cause]).toEqual(["SUCCEEDED", null]);
  expect(countsOf(run)).toEqual({ read: 3, loaded: 3, nulled: 1 });
  expect(await flow.sql`select * from plain order by k`).toEqual([
    { k: 1, n: 7, t: "a\tb\\N\n\\.", b: true, j: { a: [1, null] } },
    { k: 2, n: null, t: "🜁 é", b: false, j: null },
    { k: 3, n: null, t: null, b: null, j: null },
  ]);
});

test("A6, J02: one record in every shape: the same row, the same report", async () => {
  const seen: unknown[] = [];
  for (const body of [`[${lines[0]}]`, `${lines[0]}\n`, `{"records":[${lines[0]}]}`, `{"data":${lines[0]}}`]) {
    const { output } = await load("plain.json", body);
    const { tables, status } = output as LoadResult;
    const { load_time_seconds: seconds, s3_key: key, ...report } = tables["plain"] as TableResult;
    expect([typeof seconds, key]).toEqual(["number", expect.stringMatching(/plain\.json$/)]);
    seen.push([report, status, await flow.sql`select * from plain`]);
  }
  expect(seen[0]).toMatchObject([{ records_read: 1, records_loaded: 1 }, "success", [{ k: 1, n: 7 }]]);
  expect(seen).toEqual(new Array(4).fill(seen[0]));
});

test("the formats of one content have one fingerprint", async () => {
  await load("plain.json", array);
  const sums = await flow.sql`select distinct fingerprint from table_loader.batch_tables where records = 3`;
  expect(sums).toHaveLength(1);
});

test("S10: zero records are loaded with a warning", async () => {
  for (const body of ["[]", '{"records":[]}']) {
    const run = await load("plain.json", body);
    expect(run.status).toBe("SUCCEEDED");
    expect(run.output).toMatchObject({
      tables: { plain: { records_read: 0, warnings: [/^NO_RECORDS/].map((text) => expect.stringMatching(text)) } },
    });
  }
});

test("J04: record numbers count records, not lines", async () => {
  const run = await load("plain.ndjson", `${lines[0]}\r\n\r\n\r\n{"k":"x"}\n`);
  expect(run.error).toBe("RECORDS_REJECTED");
  const [log = ""] = flow
    .objects("failed/")
    .filter((key) => key.endsWith("error_log.json"))
    .slice(-1);
  expect(await flow.json(log)).toMatchObject({ rejected_records: [{ record: 2, field: "k", code: "VALUE_TYPE" }] });
});
