import { describe, expect, it } from "vitest";
import { defaultReadLimits } from "../../lib/readers/limits.ts";
import { faultOf, key, read } from "./support.ts";

/** P9: whatever a fragment asks for, memory and time are bounded. */

describe("limits", () => {
  const big = `{"a":"${"x".repeat(2_000)}"}`;

  it.each([
    ["array", `[{"id":1},${big}]`, 2],
    ["lines", `{"id":1}\n${big}`, 2],
    ["metadata", `{"metadata":${big},"records":[]}`, 1],
    ["white space", `{"metadata":1${" ".repeat(2_000)},"records":[]}`, 1],
    ["a string without end", `{"${"x".repeat(200_000)}`, 1],
    ["members behind", `{"records":[{"id":1}],"z":${big}}`, 2],
  ])("refuses a record that is too large: %s", async (_name, text, record) => {
    for (const chunkSizes of [[64_000], [100]]) {
      const fault = await faultOf({ body: Buffer.from(text), chunkSizes }, { maxRecordBytes: 1_000 });
      expect(fault.code).toBe("RECORD_TOO_LARGE");
      expect(fault.message).toContain(`record ${record} `);
      expect(fault.message).not.toContain("xx");
    }
  });

  it("S11: refuses an object over the limit without reading it", async () => {
    const fault = await faultOf(big, { maxDecodedBytes: 1_000 });
    expect(fault.message).toMatch(new RegExp(`^S3_TOO_LARGE: ${key}: 2008 bytes, more than 1000`));
    expect(fault).toMatchObject({ sent: 0, reads: [] });
  });

  const { maxValues } = defaultReadLimits;
  const repeated = (unit: string) => unit.repeat(2 * maxValues);

  it.each([
    ["numbers", `[{"a":[${repeated("0,")}1]}]`, 1],
    ["numbers that keep their text", `[{"z":1},{"a":[${repeated("1.0,")}1]}]`, 2],
    ["objects", `{"z":1}\n{"a":[${repeated("{},")}1]}`, 2],
    ["arrays", `{"data":{"a":[${repeated("[],")}1]}}`, 1],
    ["nested arrays", `[{"a":[${repeated("[[[]]],")}1]}]`, 1],
    ["members", `[{"a":1${repeated(',"a":1')}}]`, 1],
    ["values in the metadata", `{"metadata":[${repeated("0,")}1],"records":[]}`, 1],
    ["values behind the records", `{"records":[{"z":1}],"z":[${repeated("0,")}1]}`, 2],
  ])("refuses a record of 1,000,000 %s", async (_name, text, record) => {
    const fault = await faultOf(text);
    expect(fault.code).toBe("RECORD_TOO_LARGE");
    expect(fault.message).toContain(`record ${record} `);
    expect(fault.message).toContain(`has more than ${maxValues} values`);
    expect(fault.details.records).toBe(record - 1);
  });

  it("counts the values of each record alone", async () => {
    const limits = { maxValues: 10 };
    expect((await read(`[${Array(100).fill('{"a":1,"b":[1,2,3]}').join()}]`, limits)).summary.records).toBe(100);
    expect((await read(`[{"a":"${",{[:".repeat(100)}"}]`, limits)).summary.records).toBe(1);
  });

  it.each([
    ["a number of 10 MB", "7".repeat(10_000_000)],
    ["a fraction of 10 MB", `0.${"7".repeat(10_000_000)}`],
    ["an exponent of 1 MB", `1e${"7".repeat(1_000_000)}`],
  ])("reads %s, in one chunk and in many", async (_name, number) => {
    for (const chunkSizes of [[100_000_000], [1_000]]) {
      const { values } = await read({ body: Buffer.from(`[{"a":${number}},{"b":1}]`), chunkSizes });
      expect(values[1]).toEqual({ b: 1 });
      const { a } = values[0] as { a: { text: string } };
      expect(a.text === number).toBe(true);
    }
  });

  it("says where 10 MB of digits are no number", async () => {
    const fault = await faultOf(`[{"a":${"7".repeat(10_000_000)}x}]`);
    expect(fault).toMatchObject({ code: "JSON_SYNTAX", details: { offset: 10_000_006 } });
  });
});
