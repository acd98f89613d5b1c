import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ReadPosition } from "../../lib/core/records.ts";
import { readFragment } from "../../lib/readers/read-fragment.ts";
import { read, readFrom, type Stored, stored, storeOf } from "./support.ts";

const records = Array.from({ length: 9 }, (_, i) => `{"id":${i},"größe":1.${i}0}`);
const texts = {
  records: `{"metadata":{},\n"records":[${records.join(" ,\n")}\n],"z":1}\n`,
  array: `[${records.join(",")}]`,
  data: `{"metadata":{},"data":${records[0]},"metadata":1}`,
  ndjson: `\ufeff${records.join("\r\n\n")}`,
};

const stores: [string, Stored][] = Object.entries(texts).flatMap(([name, text]): [string, Stored][] => [
  [name, stored(text)],
  [`${name} as gzip`, { body: gzipSync(text) }],
  [`${name} as zstd`, { body: zstdCompressSync(text) }],
  [`${name} as brotli`, { body: brotliCompressSync(text), contentEncoding: "br" }],
]);

const throughJson = (position: ReadPosition) => JSON.parse(JSON.stringify(position)) as ReadPosition;

describe("going on from a position", () => {
  it.each(stores)("yields what is left: %s", async (_name, content) => {
    const whole = await read(content, { groupBytes: 1 });
    expect(whole.groups.length).toBe(whole.summary.records);
    for (const [i, { next }] of whole.groups.entries()) {
      const source = storeOf(content);
      const rest = await readFrom(source, { from: throughJson(next), limits: { groupBytes: 1 } });
      expect(rest.groups.flatMap((group) => group.records)).toEqual(whole.records.slice(i + 1));
      expect(rest.groups.map((group) => group.next)).toEqual(whole.groups.slice(i + 1).map((group) => group.next));
      expect(rest.groups.map((group) => group.bytes)).toEqual(whole.groups.slice(i + 1).map((group) => group.bytes));
      expect(rest.summary).toEqual(whole.summary);
      expect(source.open).toBe(0);
    }
  });

  it("reads a plain object from the offset, and not at all behind its end", async () => {
    const { groups } = await read(texts.ndjson, { groupBytes: 1 });
    const reads = [];
    for (const { next } of groups) {
      const source = storeOf(stored(texts.ndjson));
      await readFrom(source, { from: next });
      reads.push(...source.reads);
    }
    expect(reads).toEqual(groups.slice(0, -1).map(({ next }) => next.offset));
  });

  it("names the same line and column in a fault", async () => {
    const text = `[${records.join(",\n")},\n{"id":nan}]`;
    const source = storeOf(stored(text));
    const reader = readFragment(source.store, source.version, { from: null, limits: { groupBytes: 1 } });
    const positions: ReadPosition[] = [];
    let fault: unknown;
    try {
      for await (const { next } of reader) positions.push(next);
    } catch (error) {
      fault = error;
    }
    expect(positions).toHaveLength(9);
    expect(String(fault)).toContain("(line 10, column 7); last complete record 9");
    for (const from of positions) await expect(readFrom(source, { from })).rejects.toThrow(fault as Error);
  });

  it("goes on behind a body that broke", async () => {
    const body = Buffer.from(texts.records);
    const source = storeOf({ body, chunkSizes: [1] });
    async function* broken() {
      for await (const chunk of (await source.store.read(source.version)).bytes) {
        if (source.open > 0 && seen++ === 100) throw new Error("connection reset");
        yield chunk;
      }
    }
    let seen = 0;
    const store = { read: async () => ({ bytes: broken(), contentEncoding: null }) };
    const got: number[] = [];
    let from: ReadPosition | null = null;
    try {
      for await (const group of readFragment(store, source.version, { from: null })) {
        got.push(...group.records.map((record) => record.number));
        from = group.next;
      }
    } catch (error) {
      expect(String(error)).toContain("connection reset");
    }
    expect(got.length).toBeGreaterThan(1);
    const rest = await readFrom(source, { from });
    got.push(...rest.groups.flatMap((group) => group.records.map((record) => record.number)));
    expect(got).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});
