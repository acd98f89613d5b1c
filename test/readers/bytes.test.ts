import { describe, expect, it } from "vitest";
import type { PermanentError } from "../../lib/core/errors.ts";
import { openWindow } from "../../lib/readers/bytes.ts";
import { defaultReadLimits } from "../../lib/readers/limits.ts";
import { readFragment } from "../../lib/readers/read-fragment.ts";
import { read, storeOf } from "./support.ts";

const mebibyte = 1024 * 1024;

async function* repeat(chunk: Uint8Array, times: number) {
  for (let n = 0; n < times; n++) yield chunk;
}

describe("the window", () => {
  it("stays small while nothing is kept, however long the fragment", async () => {
    const chunk = Buffer.alloc(64 * 1024, " ");
    const source = { chunks: repeat(chunk, 1_000), key: "key", offset: 0 };
    const window = openWindow(source, defaultReadLimits);
    while (await window.more(window.base + window.end));
    expect(window.base + window.end).toBe(1_000 * chunk.length);
    expect(window.bytes.length).toBe(mebibyte);
  });

  it("grows for what is kept, and shrinks again", async () => {
    const source = { chunks: repeat(Buffer.alloc(mebibyte, "x"), 20), key: "key", offset: 0 };
    const window = openWindow(source, defaultReadLimits);
    while (window.end < 10 * mebibyte) await window.more(0);
    expect(window.base).toBe(0);
    while (await window.more(window.base + window.end));
    expect(window.bytes.length).toBe(mebibyte);
  });
});

describe("reading across the window's edge", () => {
  // the fault is looked at closely, which moves the window, while the records before it are still to be parsed
  it.each([-70_000, -200, -8, 0, 64_000, 130_000])(
    "keeps the records before a fault %i bytes from the edge",
    async (distance) => {
      const record = '{"id":1234567,"name":"somebody"}';
      const count = Math.floor((mebibyte + distance) / (record.length + 1));
      const body = Buffer.from(`[${`${record},`.repeat(count)}7${" ".repeat(500_000)}]`);
      const source = storeOf({ body });
      let records = 0;
      let fault: unknown = null;
      try {
        for await (const group of readFragment(source.store, source.version, { from: null })) {
          for (const { value } of group.records) expect(value).toStrictEqual({ id: 1234567, name: "somebody" });
          records += group.records.length;
        }
      } catch (error) {
        fault = error;
      }
      expect(records).toBe(count);
      expect((fault as PermanentError).message).toContain(`JSON_SHAPE`);
      expect((fault as PermanentError).details.offset).toBe(1 + count * (record.length + 1));
    },
  );

  it("hands over records before much white space, instead of keeping both", async () => {
    const body = Buffer.from(`{"id":1}\n${" ".repeat(3 * mebibyte)}\n{"id":2}`);
    const { groups, values } = await read(body);
    expect(values).toEqual([{ id: 1 }, { id: 2 }]);
    expect(groups).toHaveLength(2);
  });
});
