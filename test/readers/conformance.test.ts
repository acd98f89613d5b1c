import { describe, expect, it } from "vitest";
import { accepted, decided, noUtf8, refused } from "./conformance-cases.ts";
import { readNaively, spell } from "./naive-reader.ts";
import { faultOf, read } from "./support.ts";

/** As a member of a record in an array, of a line, and of a record within members. */
const places: Readonly<Record<string, readonly [string, string]>> = {
  array: ['[{"z":1},{"v":', "}]"],
  lines: ['{"z":1}\n{"v":', '}\n{"z":1}\n'],
  records: ['{"metadata":{},"records":[{"z":1},{"v":', '},{"z":1}],"metadata":[]}'],
};

const chunkings = [[1], [100_000]];

function* bodiesOf(text: string | Buffer) {
  for (const [head, tail] of Object.values(places)) {
    const body = Buffer.concat([Buffer.from(head), Buffer.from(text), Buffer.from(tail)]);
    for (const chunkSizes of chunkings) yield { body, chunkSizes, start: head.length, end: body.length };
  }
}

describe("JSON that is accepted", () => {
  it.each([...accepted, ...decided])("%s", async (_name, text) => {
    for (const stored of bodiesOf(text)) {
      expect((await read(stored)).values.map(spell)).toEqual(readNaively(stored.body).map(({ value }) => value));
    }
    // and as an element among others
    const body = Buffer.concat([Buffer.from('[{"v":[1.10,'), Buffer.from(text), Buffer.from(",null]}]")]);
    expect((await read(body)).values.map(spell)).toEqual(readNaively(body).map(({ value }) => value));
  });
});

describe("J10, J19: what is no JSON", () => {
  it.each(refused)("%s", async (_name, text) => {
    for (const stored of bodiesOf(text)) {
      const fault = await faultOf(stored);
      expect(fault.code).toMatch(/^JSON_(SYNTAX|TRUNCATED|ENCODING)$/);
      expect(fault.details.offset).toBeGreaterThanOrEqual(stored.start - 1);
      expect(fault.details.offset).toBeLessThanOrEqual(stored.end);
      expect(fault).toMatchObject({ records: 1, details: { records: 1 } });
    }
  });
});

describe("J21: what is no UTF-8", () => {
  it.each(noUtf8)("%s", async (_name, text) => {
    for (const stored of bodiesOf(text)) {
      const fault = await faultOf(stored);
      expect(fault).toMatchObject({
        code: "JSON_ENCODING",
        records: 1,
        details: { offset: stored.start + 1, records: 1 },
      });
    }
  });
});
