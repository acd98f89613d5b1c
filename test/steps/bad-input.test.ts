import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serverTraces } from "../canary/traces.ts";
import type { Flow } from "../support/flow.ts";
import { contentOf, failStaged, failWith, nextBatch, openPlainFlow, stagingKey } from "./bad-input-support.ts";

let flow: Flow;
beforeAll(async () => {
  const key = { natural_key: ["k"] };
  flow = await openPlainFlow(
    { put_off: key, in_part: key, shut_out: key, seen: key },
    `create table put_off (k int, constraint put_off_key unique (k) deferrable);
     create table in_part (k int); create unique index in_part_key on in_part (k) where k > 0;
     create table shut_out (k int4range, constraint shut_out_key exclude using gist (k with &&));
     create view seen as select 1 as k;`,
  );
});
afterAll(() => flow.close());

const bytes = (...parts: readonly (string | readonly number[])[]): Uint8Array =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)));
const utf16 = bytes([0xff, 0xfe], [...Buffer.from('[{"k":1}]', "utf16le")]);

describe("fragments that cannot be read", () => {
  test("J01: a truncated fragment fails its batch, with key, byte and last complete record everywhere", async () => {
    const { log, run, batchId } = await failWith(flow, "JSON_TRUNCATED", {
      "plain.json": '[{"k":1},{"k":2},{"k":',
      "child.json": [],
    });
    expect(run.cause).toMatch(/table plain: .*plain\.json: .* at byte 22 .*; last complete record 2/);
    expect(log.fragments).toHaveLength(1);
    expect(log.fragments[0]).toMatchObject({
      table: "plain",
      code: "JSON_TRUNCATED",
      key: stagingKey(batchId, "plain.json"),
    });
  });

  const faulty: readonly (readonly [string, string, string | Uint8Array])[] = [
    ["S10 zero bytes", "S3_EMPTY", ""],
    ["S10 white space", "S3_EMPTY", " \n\t"],
    ["S10 a BOM", "S3_EMPTY", "\ufeff"],
    ["S12 a truncated gzip", "S3_TRUNCATED", gzipSync('[{"k":1}]').subarray(0, -4)],
    ["S12 gzip and garbage", "S3_CONTENT_ENCODING", bytes([...gzipSync('[{"k":1}]')], "garbage")],
    ["S15 UTF-16", "JSON_ENCODING", utf16],
    ["S15 an inner BOM", "JSON_SYNTAX", '{"k":1}\n\ufeff{"k":2}'],
    ["S16 HTML", "JSON_SYNTAX", "<!doctype html><html>"],
    ["S16 CSV", "JSON_SYNTAX", "k,n\n1,2\n"],
    ["S16 Parquet", "JSON_SYNTAX", bytes("PAR1", [0x15, 0, 0x15, 0xff])],
    ["S16 PDF", "JSON_SYNTAX", "%PDF-1.7\n"],
    ["J03 a scalar", "JSON_SHAPE", "42"],
    ["J03 mixed records", "JSON_SHAPE", '[{"k":1},[2],3,null]'],
    ["J07 a million brackets", "JSON_DEPTH", `[{"k":1,"j":${"[".repeat(1_000_000)}`],
    ["J10 NaN", "JSON_SYNTAX", '[{"k":NaN}]'],
    ["J10 a bare word", "JSON_SYNTAX", '[{"k":None}]'],
    ["J19 a comment", "JSON_SYNTAX", '[{"k":1}/* x */]'],
    ["J19 a trailing comma", "JSON_SYNTAX", '[{"k":1},]'],
    ["J19 single quotes", "JSON_SYNTAX", "[{'k':1}]"],
    ["J19 01", "JSON_SYNTAX", '[{"k":01}]'],
    ["J19 a raw control character", "JSON_SYNTAX", '[{"t":"a\u0001b"}]'],
    ["J21 FF", "JSON_ENCODING", bytes('[{"t":"', [0xff], '"}]')],
    ["J21 a surrogate in UTF-8", "JSON_ENCODING", bytes('[{"t":"', [0xed, 0xa0, 0x80], '"}]')],
    ["J21 an overlong form", "JSON_ENCODING", bytes('[{"t":"', [0xc0, 0xaf], '"}]')],
  ];

  test("S10, S12, S15, S16, J03, J07, J10, J19, J21: every fragment of a batch is named with its own code", async () => {
    const name = (place: number): string => `plain/part-${String(place).padStart(2, "0")}.json`;
    const parts = Object.fromEntries(faulty.map(([, , body], place) => [name(place), body]));
    const batchId = nextBatch();
    for (const [part, body] of Object.entries(parts)) await flow.put(stagingKey(batchId, part), body);
    await flow.put(stagingKey(batchId, "plain/_SUCCESS"), "");
    await flow.queueRow({ batchId, table: "plain", approved: true });
    const started = performance.now();
    const run = await flow.run({ batchId });
    expect(performance.now() - started).toBeLessThan(10_000);
    expect([run.status, run.error]).toEqual(["FAILED", "S3_EMPTY"]);
    expect(run.cause).toContain(`(and ${faulty.length - 1} more fragments failed)`);
    const log = (await flow.json(`failed/${batchId}/error_log.json`)) as {
      fragments: { key: string; code: string; message: string }[];
    };
    const codes = new Map(log.fragments.map(({ key, code }) => [key, code]));
    const seen = faulty.map(([what], place) => [what, codes.get(stagingKey(batchId, name(place)))]);
    expect(seen).toEqual(faulty.map(([what, code]) => [what, code]));
    const messageOf = (what: string): string =>
      log.fragments.find(({ key }) => key === stagingKey(batchId, name(faulty.findIndex(([one]) => one === what))))
        ?.message ?? "";
    expect(messageOf("S16 HTML")).toContain('begins with "<!doctyp"');
    expect(messageOf("S16 Parquet")).toContain('begins with "PAR1\\x15\\x00\\x15\\xff"');
    expect(messageOf("S15 UTF-16")).toContain("UTF-16LE");
    expect(messageOf("J03 mixed records")).toContain("record 2");
    expect(messageOf("J19 a comment")).toMatch(/line 1, column 9/);
    expect(flow.objects(`failed/${batchId}/plain/`)).toHaveLength(faulty.length + 1);
  });

  test("S12: a Content-Encoding that the bytes contradict", async () => {
    const batchId = nextBatch();
    const url = `${flow.bucket.endpoint}/${flow.bucket.name}/${stagingKey(batchId, "plain.json")}`;
    const stored = await fetch(url, { method: "PUT", body: '[{"k":1}]', headers: { "content-encoding": "gzip" } });
    expect(stored.ok).toBe(true);
    await flow.queueRow({ batchId, table: "plain", approved: true });
    const { log } = await failStaged(flow, "S3_CONTENT_ENCODING", batchId);
    expect(log.fragments[0]?.message).toContain("Content-Encoding says gzip, but the bytes are not gzip");
  });

  test("a preview names them without moving anything", async () => {
    const batchId = nextBatch();
    await flow.put(stagingKey(batchId, "plain.json"), '[{"k":1},');
    await flow.put(stagingKey(batchId, "child.json"), [{ k: 1, p: 1000 }]);
    const before = await contentOf(flow);
    const run = await flow.run({ batchId, dryRun: true });
    expect(run.status).toBe("SUCCEEDED");
    const [key = ""] = flow.objects(`previews/${batchId}/`);
    const errors = [{ code: "JSON_TRUNCATED", message: expect.stringContaining("plain.json") }];
    expect(await flow.json(key)).toMatchObject({
      would_be: "failed",
      errors,
      tables: { child: { records_loaded: 1 } },
    });
    expect(await contentOf(flow)).toEqual(before);
    expect(flow.objects(`staging/validated/${batchId}/`)).toHaveLength(2);
  });
});

describe("tables that cannot be loaded", () => {
  test("T04: an unknown table fails the batch, and no other table is loaded", async () => {
    const { log } = await failWith(flow, "TABLE_UNKNOWN", { "nowhere.json": [{ k: 1 }], "plain.json": [{ k: 5 }] });
    expect(log.error.message).toMatch(/^table nowhere: /);
  });

  test("T04, V30: without contract, and with row security", async () => {
    await flow.sql.unsafe("create table uncontracted (k int)");
    await failWith(flow, "TABLE_NOT_ALLOWED", { "uncontracted.json": [{ k: 1 }], "plain.json": [{ k: 5 }] });
    await flow.sql.unsafe("alter table child enable row level security");
    await failWith(flow, "TABLE_RLS", { "child.json": [{ k: 1 }] });
    await flow.sql.unsafe("alter table child disable row level security");
  });

  test("V27, V34: an unfit unique key or a view is refused before any fragment is read", async () => {
    const broken = "no JSON at all";
    for (const [table, named] of [
      ["put_off", "unique index put_off_key on the natural key is deferrable"],
      ["in_part", "unique index in_part_key on the natural key is deferrable, partial"],
      ["shut_out", "shut_out_key"],
      ["seen", "expected a table, got relation kind v"],
    ] as const) {
      const { log } = await failWith(flow, "TABLE_UNSUPPORTED", { [`${table}.json`]: broken });
      expect(log.error.message).toContain(named);
      expect(log.fragments).toEqual([]);
    }
  });

  test("X01: a table name that would be SQL is an unknown table", async () => {
    const injected = `injected_${randomBytes(4).toString("hex")}`;
    for (const name of [
      'x"."y',
      "plain; drop table plain",
      "$1",
      "a--b",
      "plain'",
      "plain'); select '",
      '"; select "',
    ]) {
      const table = `${name}${injected}`;
      const { log } = await failWith(flow, "TABLE_UNKNOWN", { [`${table}.json`]: [{ k: 1 }] });
      expect(log.error.message).toContain(table);
    }
    // a statement with such a name in it would have failed, and the server would have logged it
    const logged = await serverTraces(flow);
    expect(logged.filter(({ text }) => text.includes(injected))).toEqual([]);
    expect(await contentOf(flow)).toMatchObject([{ plain: [{ k: 1000 }] }]);
  });
});
