import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErrorLog } from "../../lib/steps/reports.ts";
import type { Flow } from "../support/flow.ts";
import { failWith, nextBatch, openPlainFlow, stagingKey } from "./bad-input-support.ts";

/** Records that are rejected: the batch fails, after all of them were named, each with its original. */

let flow: Flow;
beforeAll(async () => {
  flow = await openPlainFlow(
    {
      wide: { natural_key: ["k"] },
      exactly: { natural_key: ["ID"] },
      raiser: { natural_key: ["k"] },
      dropper: { natural_key: ["k"] },
    },
    `create table wide (k int primary key, b bigint, n numeric(6,2), f float8, r real, x bytea, ts timestamptz, i int);
     create table exactly ("ID" int primary key, id int, "10" int, "9" int);
     create table raiser (k int primary key);
     create table dropper (k int primary key);
     create function raising() returns trigger language plpgsql as $$ begin raise exception 'the value is %', new.k; end $$;
     create function dropping() returns trigger language plpgsql as $$ begin return null; end $$;
     create trigger t before insert on raiser for each row execute function raising();
     create trigger t before insert on dropper for each row execute function dropping();`,
  );
});
afterAll(() => flow.close());

const rejectedOf = ({ rejected_records: records }: ErrorLog) =>
  records.map(({ record, field, code }) => [record, field, code]);

async function rejectsOf(table: string, body: unknown): Promise<ErrorLog> {
  return (await failWith(flow, "RECORDS_REJECTED", { [`${table}.json`]: body })).log;
}

describe("error_log.json", () => {
  test("names table, key, record, field, code, got, expected, constraint and original of each wrong record", async () => {
    const plain = `[
      {"k": 1, "n": "many"},
      {"k": 2, "n": -5, "t": "the judge's"},
      {"k": 3, "n": 1}, {"k": 3, "n": 2},
      {"k": 1e0, "n": 99999999999},
      {"n": 1},
      {"k": 4, "surprise": {"a": 12345678901234567890}}
    ]`;
    const fragments = {
      "plain.json": plain,
      "child.json": [
        { k: 1, p: 1000 },
        { k: 2, p: 77 },
      ],
    };
    const { log, batchId, result } = await failWith(flow, "RECORDS_REJECTED", fragments);
    const seen = log.rejected_records.map(({ table, record, field, code, got, constraint, original }) => [
      ...[table, record, field, code, got, constraint, original],
    ]);
    expect(seen).toEqual([
      ["child", 2, "p", "CONSTRAINT_FK", "p=77", "child_plain", '{"k":2,"p":77}'],
      ["plain", 1, "n", "VALUE_TYPE", '"many"', null, '{"k": 1, "n": "many"}'],
      ["plain", 2, "n", "CONSTRAINT_CHECK", "n=-5", "n_positive", '{"k": 2, "n": -5, "t": "the judge\'s"}'],
      ["plain", 3, "k", "KEY_DUPLICATE", "k=3", null, '{"k": 3, "n": 1}'],
      ["plain", 4, "k", "KEY_DUPLICATE", "k=3", null, '{"k": 3, "n": 2}'],
      ["plain", 5, "n", "VALUE_RANGE", "99999999999", null, '{"k": 1e0, "n": 99999999999}'],
      ["plain", 6, "k", "KEY_NULL", "no such field", null, '{"n": 1}'],
      [
        "plain",
        7,
        "surprise",
        "COLUMN_UNKNOWN",
        '"surprise"',
        null,
        '{"k": 4, "surprise": {"a": 12345678901234567890}}',
      ],
    ]);
    expect(log.rejected_records.every(({ key }) => key.startsWith(stagingKey(batchId, "")))).toBe(true);
    expect(log.rejected_records.every(({ expected }) => expected.length > 10)).toBe(true);
    expect(result).toMatchObject({
      records_read: 9,
      records_failed: 8,
      tables: { plain: { records_read: 7, records_failed: 7 }, child: { records_read: 2, records_failed: 1 } },
    });
    const audit = await flow.sql`
      select table_name, records_failed::int as failed, status from load_audit_log where batch_id = ${batchId} order by 1`;
    expect(audit.map((row) => Object.values(row))).toEqual([
      ["child", 1, "failed"],
      ["plain", 7, "failed"],
    ]);
  });

  test("P8: values stand nowhere else", async () => {
    const secret = "canary-4711";
    const { run, batchId, result } = await failWith(flow, "RECORDS_REJECTED", {
      "plain.json": [
        { k: 1, n: secret },
        { k: secret, t: secret },
        { k: 2, [secret]: 1 },
      ],
    });
    const queue = await flow.sql`select * from validation_queue where batch_id = ${batchId}`;
    const audit = await flow.sql`select * from load_audit_log where batch_id = ${batchId}`;
    expect(JSON.stringify([run, result, queue, audit, flow.notices, flow.steps])).not.toContain(secret);
  });

  test("more than 1,000 rejects: all are counted, 1,000 are listed", async () => {
    const records = Array.from({ length: 2_500 }, (_, k) => ({ k, n: k % 2 ? "x" : -1 }));
    const { log, run, result } = await failWith(flow, "RECORDS_REJECTED", { "plain.json": records });
    expect(run.cause).toContain("2500 of 2500 records");
    expect(result).toMatchObject({ records_failed: 2_500 });
    expect(log.rejected_records).toHaveLength(1_000);
    expect(log.rejected_records.every(({ original }) => original?.startsWith('{"k":'))).toBe(true);
  });
});

describe("single records", () => {
  test("J08, J11, V01, V04, V06, V11, V21, V22: numbers, booleans and instants", async () => {
    const log = await rejectsOf(
      "wide",
      `[{"k":1,"i":2147483648},{"k":2,"b":9223372036854775808},{"k":3,"n":10000},{"k":4,"n":1.005},{"k":5,"n":"NaN"},
        {"k":6,"f":"Infinity"},{"k":7,"f":1e400},{"k":8,"i":1.5},{"k":9,"ts":"2026-01-01T00:00:00+16:00"},
        {"k":10,"ts":"2026-01-01T00:00:00.1234567Z"},{"k":11,"ts":"2026-01-01T00:00:00 IST"},{"k":12,"i":{"a":1}},
        {"k":13,"x":"abc"},{"k":14,"i":true},{"k":15,"b":12345678901234567890},{"k":16,"i":1.0},{"k":17,"i":1e2}]`,
    );
    expect(rejectedOf(log)).toEqual([
      [1, "i", "VALUE_RANGE"],
      [2, "b", "VALUE_RANGE"],
      [3, "n", "VALUE_RANGE"],
      [4, "n", "VALUE_PRECISION_LOSS"],
      [5, "n", "VALUE_TYPE"],
      [6, "f", "VALUE_TYPE"],
      [7, "f", "VALUE_RANGE"],
      [8, "i", "VALUE_TYPE"],
      [9, "ts", "VALUE_RANGE"],
      [10, "ts", "VALUE_PRECISION_LOSS"],
      [11, "ts", "VALUE_TYPE"],
      [12, "i", "VALUE_TYPE"],
      [13, "x", "VALUE_TYPE"],
      [14, "i", "VALUE_TYPE"],
      [15, "b", "VALUE_RANGE"],
    ]);
    expect(log.rejected_records[0]?.expected).toBe("integer from -2147483648 to 2147483647");
    const words = ["t", "YES", "on", "1", "tru", "oui"].map((b, k) => ({ k, b }));
    expect(rejectedOf(await rejectsOf("plain", [...words, { k: 7, b: 1 }, { k: 8, b: "" }, { k: 9, b: 2 }]))).toEqual([
      [3, "b", "VALUE_TYPE"],
      [5, "b", "VALUE_TYPE"],
      [6, "b", "VALUE_TYPE"],
      [9, "b", "VALUE_TYPE"],
    ]);
  });

  test("J13: NUL and lone surrogates in value, key and jsonb", async () => {
    const log = await rejectsOf(
      "plain",
      String.raw`[{"k":1,"t":"a\u0000b"},{"k":2,"j":{"a":["\u0000"]}},{"k":3,"j":{"a\u0000":1}},{"k":4,"x\u0000":1},{"k":5,"t":"\ud800"}]`,
    );
    expect(rejectedOf(log)).toEqual([
      [1, "t", "VALUE_ENCODING"],
      [2, "j", "VALUE_ENCODING"],
      [3, "j", "VALUE_ENCODING"],
      [4, '"x\\u0000"', "COLUMN_UNKNOWN"],
      [5, "t", "VALUE_ENCODING"],
    ]);
    expect(log.rejected_records[0]?.original).toBe(String.raw`{"k":1,"t":"a\u0000b"}`);
  });

  test("J15: 10,000 distinct names: the first 20 and the count", async () => {
    const record = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`field_${n}`, n]));
    const started = performance.now();
    const log = await rejectsOf("plain", [{ k: 1, ...record }]);
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(log.rejected_records[0]?.got).toMatch(/^"field_0", .*"field_19" and 9980 more$/);
  });

  test("J17, J18: extra and ambiguous names, and names that JavaScript knows", async () => {
    const log = await rejectsOf(
      "plain",
      `[{"k":1,"extra":1},{"k":2,"N":1,"n":2},{"k":3,"__proto__":{"n":1}},{"k":4,"constructor":1},{"k":5,"toString":1},
        {"k":6,"hasOwnProperty":1},{"k":7,"10":1,"9":2}]`,
    );
    expect(rejectedOf(log)).toEqual([
      [1, "extra", "COLUMN_UNKNOWN"],
      [2, "n", "COLUMN_AMBIGUOUS"],
      [3, "__proto__", "COLUMN_UNKNOWN"],
      [4, "constructor", "COLUMN_UNKNOWN"],
      [5, "toString", "COLUMN_UNKNOWN"],
      [6, "hasOwnProperty", "COLUMN_UNKNOWN"],
      [7, "9", "COLUMN_UNKNOWN"],
    ]);
    expect({}).not.toHaveProperty("n");
    const batchId = nextBatch();
    await flow.put(stagingKey(batchId, "exactly.json"), '[{"10":10,"id":2,"9":9,"ID":1}]');
    await flow.queueRow({ batchId, table: "exactly", approved: true });
    expect((await flow.run({ batchId })).status).toBe("SUCCEEDED");
    expect(await flow.sql`select * from exactly`).toEqual([{ ID: 1, id: 2, "10": 10, "9": 9 }]);
  });
});

describe("triggers", () => {
  test("one that drops rows: BALANCE_BROKEN; one that raises: the record, its words in error_log.json only", async () => {
    const dropped = await failWith(flow, "BALANCE_BROKEN", { "dropper.json": [{ k: 1 }] });
    expect(dropped.log.error.message).toContain("table dropper: 1 records were read and 0 are accounted for");
    const { log, run, result } = await failWith(flow, "RECORDS_REJECTED", { "raiser.json": [{ k: 4711 }] });
    expect(log.rejected_records.map(({ code, original }) => [code, original])).toEqual([
      ["CONSTRAINT_TRIGGER", '{"k":4711}'],
    ]);
    expect(log.rejected_records[0]?.expected).toContain("the value is");
    expect(JSON.stringify([run, result])).not.toContain("the value is");
  });
});
