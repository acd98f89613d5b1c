import { describe, expect, it } from "vitest";
import { ExactNumber, type JsonValue } from "../../lib/core/json.ts";
import { faultOf, read } from "./support.ts";

const differing = [
  ["9007199254740993"],
  ["12345678901234567890"],
  ["-9223372036854775808"],
  ["1.10"],
  ["1.0"],
  ["-1.50"],
  ["1e2"],
  ["1E2"],
  ["1e-7"],
  ["1e400"],
  ["-1e400"],
  ["-0"],
  ["-0.0"],
  ["0.0000001"],
  ["0.00000012"],
  ["0.1234567890123456789"],
  ["1234567890.1234567890"],
  ["1".repeat(63)],
  ["1".repeat(64)],
  ["1".repeat(65)],
  ["9".repeat(1_000)],
].filter(([text]) => String(Number(text)) !== text);

const plain = [
  "0",
  "1",
  "-1",
  "42",
  "0.5",
  "-12.25",
  "0.000001",
  "999999999999999",
  "9007199254740991",
  "0.30000000000000004",
];

/** As the only record, among records that need no text, and among others that do: three ways to parse. */
const surroundings = (record: string) => [`[${record}]`, `[{},{},{},${record},{}]`, `[{"b":1.10},${record}]`];

describe("numbers", () => {
  it.each(differing)("J08, J11: keeps the text of %s", async (text) => {
    const record = `{"a":${text},"deep":[{"x":[ ${text} ]}],"text":"${text}"}`;
    for (const content of surroundings(record)) {
      for (const chunkSizes of [[100_000], [1]]) {
        const { values } = await read({ body: Buffer.from(content), chunkSizes });
        const exact = new ExactNumber(text);
        expect(values).toContainEqual({ a: exact, deep: [{ x: [exact] }], text });
      }
    }
  });

  it.each(plain)("hands over %s as a number", async (text) => {
    const { values } = await read(`{"a":${text},"b":"1e5 9007199254740993"}\n{"a":1.10}`);
    expect(values[0]).toEqual({ a: Number(text), b: "1e5 9007199254740993" });
  });

  it("keeps strings that begin with U+0001 apart from numbers", async () => {
    const { values } = await read('[{"a":"\\u00011.10","b":1.10},{"\\u0001":"\\\\u0001"}]');
    expect(values).toEqual([{ a: "\u00011.10", b: new ExactNumber("1.10") }, { "\u0001": "\\u0001" }]);
  });

  it.each(['{"a":{1.10:2},"a":1}', '{"a":01.10,"a":1}', '{"a":1.10.10}', '{"a":1e}', "{1.10 : 1}", '{"a":-01e5}'])(
    "refuses %s, as JSON.parse does",
    async (record) => {
      for (const text of [`[${record}]`, `[{"b":1.10},${record}]`])
        expect((await faultOf(text)).code).toBe("JSON_SYNTAX");
    },
  );

  it("takes 1e21 as written by JavaScript for a number", async () => {
    expect((await read('[{"a":1e+21,"b":1e-7,"c":1e21}]')).values).toEqual([
      { a: 1e21, b: 1e-7, c: new ExactNumber("1e21") },
    ]);
  });
});

describe("keys", () => {
  it.each(["1", "1.10"])("J18: makes special names plain own properties, beside %s", async (number) => {
    const text = `{"__proto__":{"a":${number}},"constructor":1,"toString":2,"hasOwnProperty":3,"10":4,"9":5}`;
    const [value] = (await read(`[${text}]`)).values as [Record<string, JsonValue>];
    expect(Object.keys(value).sort()).toEqual(["10", "9", "__proto__", "constructor", "hasOwnProperty", "toString"]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    const inner = Object.getOwnPropertyDescriptor(value, "__proto__")?.value;
    expect(inner).toEqual({ a: number === "1" ? 1 : new ExactNumber("1.10") });
  });

  it("J15: reads 10,000 keys in a record", async () => {
    const record = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`column_${i}`, i]));
    expect((await read(JSON.stringify(record))).values).toEqual([record]);
    expect((await read(JSON.stringify([record]))).values).toEqual([record]);
  });
});
