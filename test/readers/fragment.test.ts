import { describe, expect, it } from "vitest";
import { readFragment } from "../../lib/readers/read-fragment.ts";
import { read, storeOf } from "./support.ts";

const first = '{"id":1,"note":"a \\"quoted\\" } brace"}';
const second = '{"id":2,"note":null,"tags":["x",{"y":[]}]}';
const values = [JSON.parse(first), JSON.parse(second)];

describe("shapes", () => {
  it.each([
    ["records", `{"records":[${first},${second}]}`, "records"],
    [
      "records with members around",
      `{"metadata":{"a":[1]},"n":-1.5e3,"records":[${first},${second}],"z":{}}`,
      "records",
    ],
    ["records with an escaped name", `{"\\u0072ecords":[${first},${second}]}`, "records"],
    ["metadata behind", `{ "records" : [ ${first} , ${second} ] , "metadata" : {"records":[1]} } \n`, "records"],
    ["array", `[${first},${second}]`, "array"],
    ["pretty array", JSON.stringify(values, null, 2), "array"],
    ["ndjson", `${first}\n${second}\n`, "ndjson"],
    ["J04: ndjson without a final newline", `${first}\n${second}`, "ndjson"],
    ["J04: ndjson with CRLF and blank lines", `\r\n\n${first}\r\n\r\n  \n${second}\r\n\r\n`, "ndjson"],
    ["ndjson of objects over lines", `${JSON.stringify(values[0], null, 1)}\n${second}`, "ndjson"],
  ])("reads %s", async (_name, text, shape) => {
    const result = await read(text);
    expect(result.values).toEqual(values);
    expect(result.summary).toEqual({ records: 2, bytes: Buffer.byteLength(text), shape });
    expect(result.records.map((record) => record.number)).toEqual([1, 2]);
    expect(result.source.open).toBe(0);
  });

  it.each([
    ["data", `{"data":${first}}`],
    ["data with metadata in front", `{"metadata":{"data":1},"data":${first}}\n`],
    ["data with metadata behind", `{"data" : ${first} , "metadata":[]}`],
  ])("reads %s as one record", async (_name, text) => {
    const result = await read(text);
    expect(result.values).toEqual([values[0]]);
    expect(result.summary).toEqual({ records: 1, bytes: text.length, shape: "data" });
    expect(result.records[0]?.offset).toBe(text.indexOf(first));
  });

  it.each([
    ["one object", '{"id":1}', 1],
    ["an empty object", "{}", 1],
    ["data that is no object", '{"data":[1]}', 1],
    ["data beside other members", '{"data":{},"id":1}\n{"id":2}', 2],
    ["records below the first level", '{"a":{"records":[{}]}}', 1],
  ])("takes %s for a line", async (_name, text, count) => {
    const result = await read(text);
    expect(result.summary).toEqual({ records: count, bytes: text.length, shape: "ndjson" });
    expect(result.values[0]).toEqual(JSON.parse(text.split("\n")[0] as string));
  });

  it.each(["[]", '{"records":[]}', " [ \n ] ", '{"metadata":{},"records":[ ]}'])(
    "S10: finds no records in %s",
    async (text) => {
      const { records, summary } = await read(text);
      expect(records).toEqual([]);
      expect(summary.records).toBe(0);
    },
  );

  it("S15: drops the first byte order mark and keeps the first key clean", async () => {
    expect((await read(`\ufeff${first}\n${second}`)).values).toEqual(values);
    expect((await read(`\ufeff{"records":[${first}]}`)).values).toEqual([values[0]]);
  });
});

describe("records", () => {
  it("hands over number, offset and raw text of each", async () => {
    const text = `{"records":[${first},\n  {"ü":"€ 😀"} ,${second}]}`;
    const { groups } = await read(text, { groupBytes: 1 });
    expect(groups).toHaveLength(3);
    const raw = groups.flatMap((group) => group.records.map((record) => group.rawText(record)));
    expect(raw).toEqual([first, '{"ü":"€ 😀"}', second]);
    const offsets = groups.flatMap((group) => group.records.map((record) => record.offset));
    expect(offsets).toEqual(raw.map((part) => Buffer.from(text).indexOf(part)));
    expect(groups.map((group) => group.bytes)).toEqual([12 + first.length, 4 + 17, 2 + second.length]);
  });

  it("keeps the raw text of lines in one group", async () => {
    const { groups } = await read(`${first}\r\n\n{"é":"ü"}\n${second}`);
    expect(groups).toHaveLength(1);
    const [group] = groups;
    expect(group?.records.map((record) => group.rawText(record))).toEqual([first, '{"é":"ü"}', second]);
  });

  it("groups by size", async () => {
    const { groups, summary } = await read(`[${Array(1_000).fill(first).join(",")}]`, { groupBytes: 4_096 });
    expect(summary.records).toBe(1_000);
    for (const group of groups.slice(0, -1)) expect(Math.abs(group.bytes - 4_096)).toBeLessThan(2 * first.length);
  });

  it("J14: reads a string of 10 MB, plain and escaped", async () => {
    const long = "x".repeat(10_000_000);
    const quotes = '\\"\\\\'.repeat(1_000_000);
    const { values } = await read(`{"records":[{"a":"${long}"},{"a":"${quotes}"},{"a":1}]}`);
    expect(values.map((value) => (value as { a: string }).a.length)).toEqual([10_000_000, 2_000_000, undefined]);
  });

  it("reads an object that comes as one chunk", async () => {
    const body = Buffer.from(`[${Array(50_000).fill(first).join(",")}]`);
    expect((await read({ body, chunkSizes: [body.length] })).summary.records).toBe(50_000);
  });

  it("keeps lone surrogates and NUL as they are", async () => {
    const { values } = await read('[{"a":"\\ud800","\\u0000":"\\udc00\\u0000"}]');
    expect(values).toEqual([{ a: "\ud800", "\u0000": "\udc00\u0000" }]);
  });

  it("closes the body when the caller stops early", async () => {
    const source = storeOf({ body: Buffer.from(`[${Array(100).fill(first).join(",")}]`), chunkSizes: [50] });
    for await (const group of readFragment(source.store, source.version, { from: null, limits: { groupBytes: 1 } })) {
      expect(group.records).toHaveLength(1);
      break;
    }
    expect(source.open).toBe(0);
  });
});
