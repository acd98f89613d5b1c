import { describe, expect, it } from "vitest";
import { read } from "./support.ts";

const records = (text: string): string[] => [
  `[{"z":1},${text},{"z":2}]`,
  `{"records":[{"z":1},${text},{"z":2}]}`,
  `{"z":1}\r\n${text}\n{"z":2}`,
];

describe("a name that stands twice in a record", () => {
  it.each([
    ['{"a":1,"a":1}', "a"],
    ['{"a":1,"b":2,"a":null}', "a"],
    ['{"a":1,"\\u0061":2}', "a"],
    ['{"é":1,"\\u00e9":2}', "é"],
    ['{"a":{"b":1,"c":2,"b":3}}', "a.b"],
    ['{"x":[0,{"y":[{"k":1},{"k":1,"k":2}]}]}', "x.1.y.1.k"],
    ['{"a":{"b":1,"b":2},"a":5}', "a.b"],
    ['{"a":{"b":1},"a":{"c":2}}', "a"],
    ['{"a":{"b":{}},"a":[{"c":2}],"d":3}', "a"],
    ['{"":1,"":2}', ""],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
    ['{"10":1,"9":2,"10":3}', "10"],
    ['{"a":1.10,"b":1e2,"a":1.10}', "a"],
    ['{"a":"\\u00011.10","b":1.10,"a":2}', "a"],
    ['{"a":":","b":"{\\"a\\":1}","a":1}', "a"],
  ])("is found in %s", async (text, name) => {
    for (const content of records(text)) {
      for (const chunkSizes of [[1], [100_000]]) {
        const read1 = await read({ body: Buffer.from(content), chunkSizes });
        expect(read1.records.map(({ duplicate }) => duplicate)).toEqual([null, name, null]);
        expect(read1.records[1]).toMatchObject({ number: 2, offset: content.indexOf(text) });
      }
    }
  });

  it.each([
    '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}',
    '{"a":":","b":"x:y:z","c":"\\":"}',
    '{"a":1,"A":2,"a ":3,"á":4,"a\\u0301":5}',
    '{"a":[],"b":{},"c":[[[{}]]],"d":null,"e":1.10}',
    "{}",
  ])("is not found in %s", async (text) => {
    for (const content of records(text)) {
      expect((await read(content)).records.map(({ duplicate }) => duplicate)).toEqual([null, null, null]);
    }
  });

  it("is found in the one record of data, and where data itself stands twice", async () => {
    expect((await read('{"data":{"a":1,"a":2}}')).records).toMatchObject([{ duplicate: "a" }]);
    expect((await read('{"data":{"a":1},"data":{"a":2}}')).records).toMatchObject([{ duplicate: "data" }]);
  });

  it("is found among 10,000 names", async () => {
    const names = Array.from({ length: 10_000 }, (_, n) => `"n${n}":${n}`);
    expect((await read(`[{${names},"n9999":0}]`)).records).toMatchObject([{ duplicate: "n9999" }]);
    expect((await read(`[{${names}}]`)).records).toMatchObject([{ duplicate: null }]);
  });
});
