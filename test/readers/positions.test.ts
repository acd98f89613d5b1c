import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ReadPosition } from "../../lib/core/records.ts";
import { readFragment } from "../../lib/readers/read-fragment.ts";
import { faultOf, readFrom, type Stored, storeOf } from "./support.ts";

/** Record, byte, line and column of one fault, however the fragment is written, stored and cut. */

const good = '{"id":1,"t":"é\\n"}';
const layouts: Readonly<Record<string, (faulty: string) => { head: string; tail: string; line: number }>> = {
  array: () => ({ head: `[${good},\n ${good},\n `, tail: "]", line: 3 }),
  "array with a BOM": () => ({ head: `\ufeff[${good},${good},`, tail: "]", line: 1 }),
  records: () => ({ head: `{"metadata":{\n},"records":[\n${good},${good},\n`, tail: `,${good}]}`, line: 4 }),
  "lines with CRLF": () => ({ head: `${good}\r\n\r\n${good}\r\n`, tail: `\r\n${good}`, line: 4 }),
  "lines with LF and a BOM": () => ({ head: `\ufeff\n${good}\n${good}\n`, tail: "\n", line: 4 }),
};

const faults = [
  ["JSON_SYNTAX", '{"a":nan}', 5],
  ["JSON_SYNTAX", '{"a":1,}', 7],
  ["JSON_ENCODING", '{"a":"\xff"}', 6],
  ["JSON_SHAPE", '"text"', 0],
  ["JSON_SHAPE", "[1]", 0],
] as const;

const stores: Readonly<Record<string, (body: Buffer) => Stored>> = {
  plain: (body) => ({ body }),
  "byte by byte": (body) => ({ body, chunkSizes: [1] }),
  gzip: (body) => ({ body: gzipSync(body) }),
  zstd: (body) => ({ body: zstdCompressSync(body) }),
};

const everywhere = Object.keys(layouts).flatMap((layout) =>
  Object.keys(stores).map((store) => [layout, store] as const),
);

describe("J04, S12, S15: a fault names record, byte, line and column", () => {
  it.each(everywhere)("%s, %s", async (layoutName, storeName) => {
    for (const [code, faulty, index] of faults) {
      const { head, tail, line } = (layouts[layoutName] as (typeof layouts)[string])(faulty);
      const before = Buffer.from(head);
      const body = Buffer.concat([before, Buffer.from(faulty, "latin1"), Buffer.from(tail)]);
      const lineStart = Math.max(before.lastIndexOf(0x0a) + 1, head.startsWith("\ufeff") ? 3 : 0);
      const offset = before.length + index;
      const column = offset - lineStart + 1;
      const stored = (stores[storeName] as (typeof stores)[string])(body);
      for (const groupBytes of [1, 100_000]) {
        const fault = await faultOf(stored, { groupBytes });
        expect(fault).toMatchObject({ code, records: 2, details: { records: 2, offset, line, column } });
        expect(fault.message).toContain(`at byte ${offset} (line ${line}, column ${column}); last complete record 2`);
      }
    }
  });

  it("the same from every position before it", async () => {
    const text = `${good}\r\n\n${good}\n${good}\r\n{"a":tru}\n`;
    const source = storeOf({ body: Buffer.from(text) });
    for (const groupBytes of [1, 30, 100_000]) {
      const positions: (ReadPosition | null)[] = [null];
      const read = async () => {
        for await (const { next } of readFragment(source.store, source.version, { from: null, limits: { groupBytes } }))
          positions.push(next);
      };
      await expect(read()).rejects.toThrow("(line 5, column 6); last complete record 3");
      for (const from of positions) {
        await expect(readFrom(source, { from })).rejects.toThrow("(line 5, column 6); last complete record 3");
      }
    }
  });
});
