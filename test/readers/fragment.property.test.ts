import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ReadPosition, TakeRecord } from "../../lib/core/records.ts";
import { compressions, fragmentText, storage } from "./arbitrary-fragments.ts";
import { readNaively, spell } from "./naive-reader.ts";
import { type ReadResult, readFrom, type Stored, storeOf } from "./support.ts";

const throughJson = (position: ReadPosition) => JSON.parse(JSON.stringify(position)) as ReadPosition;

/** All that can be said of the records that were read. */
const shown = ({ groups }: ReadResult) =>
  groups.flatMap((group) =>
    group.records.map((record) => {
      const { number, offset, duplicate } = record;
      return { number, offset, duplicate, value: spell(record.value), raw: group.rawText(record) };
    }),
  );

function expected(bytes: Buffer): ReturnType<typeof shown> {
  return readNaively(bytes).map(({ offset, end, value, duplicate }, i) => {
    return { number: i + 1, offset, duplicate, value, raw: bytes.toString("utf8", offset, end) };
  });
}

/** Reads a fragment whole, and again from every position that was handed out on the way. */
async function checkFragment(stored: Stored, bytes: Buffer, groupBytes: number): Promise<void> {
  const limits = { groupBytes };
  const source = storeOf(stored);
  const whole = await readFrom(source, { from: null, limits });
  const records = expected(bytes);
  expect(shown(whole)).toEqual(records);
  expect(whole.summary).toMatchObject({ records: records.length, bytes: bytes.length });
  for (const [i, { next }] of whole.groups.entries()) {
    const rest = await readFrom(source, { from: throughJson(next), limits });
    expect(shown(rest)).toEqual(records.slice(next.records));
    expect(rest.summary).toEqual(whole.summary);
    // lines and offsets do not depend on where reading began
    const places = rest.groups.flatMap((group) => (group.records.length > 0 ? [group.next] : []));
    expect(places.at(-1)).toEqual(whole.groups.slice(i + 1).at(-1)?.next);
  }
  expect(source.open).toBe(0);
}

describe("any fragment", { timeout: 60_000 }, () => {
  it("J02, J04: reads as the naive reader does, in any chunks, and from every position on", async () => {
    await fc.assert(
      fc.asyncProperty(fragmentText, storage, async (text, { chunkSizes, groupBytes }) => {
        const body = Buffer.from(text);
        await checkFragment({ body, chunkSizes }, body, groupBytes);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each(Object.entries(compressions))("S12, S14: the same from %s", async (_name, compress) => {
    await fc.assert(
      fc.asyncProperty(
        fragmentText,
        fc.constantFrom(1, 30, 100),
        fc.constantFrom(1, 9, 64),
        async (text, group, chunk) => {
          const bytes = Buffer.from(text);
          await checkFragment({ ...compress(bytes), chunkSizes: [chunk] }, bytes, group);
        },
      ),
      { numRuns: 12 },
    );
  });

  it("leaves exactly the records that are not taken before they are parsed, and offers all of them", async () => {
    await fc.assert(
      fc.asyncProperty(fragmentText, storage, fc.nat({ max: 255 }), async (text, how, mask) => {
        const body = Buffer.from(text);
        const offered: { number: number; raw: string }[] = [];
        const take: TakeRecord = ({ bytes, from, to, number }) => {
          offered.push({ number, raw: Buffer.from(bytes.subarray(from, to)).toString() });
          return isTaken(number);
        };
        const isTaken = (number: number) => ((mask >> (number % 8)) & 1) === 1;
        const limits = { groupBytes: how.groupBytes };
        const source = storeOf({ body, chunkSizes: how.chunkSizes });
        const whole = await readFrom(source, { from: null, limits, take });
        const records = expected(body);
        expect(offered).toEqual(records.map(({ number, raw }) => ({ number, raw })));
        expect(shown(whole)).toEqual(records.filter(({ number }) => !isTaken(number)));
        expect(whole.groups.map(({ count }) => count).reduce((sum, count) => sum + count, 0)).toBe(records.length);
        const same = await readFrom(source, { from: null, limits });
        expect(whole.groups.map(({ next, bytes }) => [next, bytes])).toEqual(
          same.groups.map(({ next, bytes }) => [next, bytes]),
        );
      }),
      { numRuns: 300 },
    );
  });
});
