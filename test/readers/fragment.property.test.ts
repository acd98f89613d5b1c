import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../lib/core/json.ts";
import type { ReadPosition } from "../../lib/core/records.ts";
import { type Compression, compressions, naiveParse, readFrom, type Stored, storeOf } from "./support.ts";

const space = fc.stringMatching(/^[ \t]{0,2}$/);
const anySpace = fc.stringMatching(/^[ \t\r\n]{0,2}$/);

const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.bigInt().map(String),
  fc.stringMatching(/^-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?$/),
);
const string = fc.oneof(
  fc.string({ unit: "binary" }).map((value) => JSON.stringify(value)),
  fc.stringMatching(/^([a-zA-Z0-9{}[\],: é€]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,12}$/).map((value) => `"${value}"`),
);
const list = (items: readonly string[], gap: string) => items.map((item) => gap + item + gap).join(",");

const { record } = fc.letrec<{ record: string; value: string; array: string }>((tie) => ({
  record: fc
    .tuple(fc.array(fc.tuple(fc.oneof(string, fc.constant('"__proto__"')), tie("value")), { maxLength: 5 }), space)
    .map(
      ([members, gap]) =>
        `{${list(
          members.map(([name, value]) => `${name}${gap}:${gap}${value}`),
          gap,
        )}}`,
    ),
  array: fc.tuple(fc.array(tie("value"), { maxLength: 4 }), space).map(([items, gap]) => `[${list(items, gap)}]`),
  value: fc.oneof(
    { maxDepth: 4 },
    number,
    string,
    fc.constantFrom("true", "false", "null"),
    tie("array"),
    tie("record"),
  ),
}));

/** A top-level object whose names would make it another shape is told apart in the examples. */
const isAmbiguous = (text: string) =>
  Object.keys(JSON.parse(text)).some((name) => name === "records" || name === "data");
const records = fc.array(
  record.filter((text) => !isAmbiguous(text)),
  { maxLength: 12 },
);

const fragment = fc
  .tuple(records, anySpace, fc.constantFrom("records", "array", "data", "ndjson"))
  .map(([all, gap, shape]) => {
    const elements = `[${gap}${all.join(`${gap},${gap}`)}${gap}]`;
    if (shape === "array") return { all, text: gap + elements + gap };
    if (shape === "data" && all[0])
      return { all: [all[0]], text: `{"metadata":${elements},"data"${gap}:${gap}${all[0]}${gap}}` };
    if (shape === "ndjson" && all[0]) return { all, text: gap + all.join(`${gap}\n${gap}`) };
    return { all, text: `{"n":-1${gap},"records"${gap}:${elements}${gap},"z":${elements}}${gap}` };
  });

const storage = fc.record({
  chunkSizes: fc.oneof(fc.constant([1]), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })),
  // a byte at a time, decompression costs 60 ms a fragment
  compression: fc.oneof({ weight: 9, arbitrary: fc.constant(compressions[0]) }, fc.constantFrom(...compressions)),
  groupBytes: fc.constantFrom(1, 30, 100_000),
});

function store(
  text: string,
  how: { readonly chunkSizes: readonly number[]; readonly compression: Compression },
): Stored {
  const plain = Buffer.from(text);
  if (how.compression === "plain") return { body: plain, chunkSizes: how.chunkSizes };
  const cut = plain.length >> 1;
  const members = Buffer.concat([gzipSync(plain.subarray(0, cut)), gzipSync(plain.subarray(cut))]);
  return { body: how.compression === "gzip" ? gzipSync(plain) : members, chunkSizes: how.chunkSizes };
}

describe("any fragment", { timeout: 60_000 }, () => {
  it("reads as JSON.parse does, with every digit, in any chunks, and from any position on", async () => {
    const resumeAt = fc.nat();
    await fc.assert(
      fc.asyncProperty(fragment, storage, resumeAt, async ({ all, text }, how, at) => {
        const limits = { groupBytes: how.groupBytes };
        const source = storeOf(store(text, how));
        const { groups, summary } = await readFrom(source, { from: null, limits });
        const read = groups.flatMap((group) => group.records);
        expect(read.map(({ value }) => value)).toStrictEqual(all.map(naiveParse));
        expect(read.map(({ number: n }) => n)).toEqual(all.map((_, i) => i + 1));
        expect(groups.flatMap((group) => group.records.map((one) => group.rawText(one)))).toEqual(all);
        const bytes = Buffer.from(text);
        for (const [i, { offset }] of read.entries()) {
          expect(bytes.indexOf(all[i] as string, offset)).toBe(offset);
        }
        expect(summary).toMatchObject({ records: all.length, bytes: bytes.length });
        const group = groups[at % Math.max(1, groups.length)];
        if (group === undefined) return;
        const from = JSON.parse(JSON.stringify(group.next)) as ReadPosition;
        const rest = await readFrom(source, { from, limits });
        expect(rest.groups.flatMap((one) => one.records)).toStrictEqual(read.slice(from.records));
        expect(rest.summary).toEqual(summary);
        expect(source.open).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  it("keeps one record the same in every shape", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.jsonValue().map((value) => JSON.stringify({ value })),
        async (text) => {
          const shapes = [text, `[${text}]`, `{"records":[${text}]}`, `{"data":${text}}`];
          const values: JsonValue[] = [];
          for (const shape of shapes) {
            const { groups } = await readFrom(storeOf({ body: Buffer.from(shape) }));
            values.push(...groups.flatMap((group) => group.records.map(({ value }) => value)));
          }
          const expected = naiveParse(text) as JsonObject;
          expect(values).toStrictEqual([expected, expected, expected, expected]);
        },
      ),
    );
  });
});
