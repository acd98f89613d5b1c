import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseContracts } from "../../../lib/core/contract.ts";
import { type JsonValue, toJsonText } from "../../../lib/core/json.ts";
import type { TablePlan } from "../../../lib/core/plan.ts";
import type { TakeRecord } from "../../../lib/core/records.ts";
import type { WorkItem } from "../../../lib/core/work-item.ts";
import { readFragment } from "../../../lib/readers/read-fragment.ts";
import { openTableEncoder } from "../../../lib/targets/postgres/encode/table-encoder.ts";
import { key, stored, storeOf } from "../../readers/support.ts";
import { garbageOf } from "../garbage.ts";
import { columnOfType, columnTypeOf } from "./column-types.ts";
import { verdicts } from "./verdicts.ts";

/** The fast path may take a record only where the exact way would make the same line of it. */

type Staged = {
  readonly lines: readonly string[];
  readonly taken: number;
  readonly fault: string | null;
  readonly rest: unknown;
};

async function stage(plan: TablePlan, text: string, isFast: boolean): Promise<Staged> {
  const chunks: string[] = [];
  const writer = { write: async (lines: Uint8Array) => void chunks.push(Buffer.from(lines).toString()) };
  const item = { itemId: 7, table: plan.table, object: { key } } as unknown as WorkItem;
  const encoder = openTableEncoder(plan).begin(item);
  let taken = 0;
  const take: TakeRecord = (record) => {
    const isTaken = isFast && encoder.take(record);
    taken += isTaken ? 1 : 0;
    return isTaken;
  };
  const source = storeOf(stored(text));
  let fault: string | null = null;
  try {
    const limits = { groupRecords: 3 };
    for await (const group of readFragment(source.store, source.version, { from: null, take, limits })) {
      await encoder.send(group, writer);
    }
  } catch (error) {
    fault = (error as Error).message;
  }
  const rest = fault === null ? await encoder.end() : null;
  const lines = chunks.flatMap((chunk) => chunk.split("\n").slice(0, -1));
  const byNumber = (line: string): number => Number(line.split("\t")[1]);
  return { lines: lines.toSorted((a, b) => byNumber(a) - byNumber(b)), taken, fault, rest };
}

/** Answers how many records went the fast path. */
async function expectSame(plan: TablePlan, text: string): Promise<number> {
  const { taken, ...short } = await stage(plan, text, true);
  const { taken: none, ...exact } = await stage(plan, text, false);
  expect(none).toBe(0);
  if (exact.fault === null) expect(short).toEqual(exact);
  else expect(short.fault).toBe(exact.fault);
  return taken;
}

function planOf(types: readonly string[], contract: object = {}): TablePlan {
  const columns = types.map((type, index) => ({ ...columnOfType(columnTypeOf(type)), name: `c${index}` }));
  const { contracts, faults } = parseContracts(
    JSON.stringify({ tables: { t: { natural_key: ["c0"], exclude_fields: ["Id", "stamp"], ...contract } } }),
  );
  if (!contracts) throw new Error(faults.join("; "));
  const shape = { name: "t", schema: "public", columns } as unknown as TablePlan["shape"];
  return { table: "t", shape, contract: contracts.tables["t"] as TablePlan["contract"], columns, guarded: true };
}

/** No deeper than the reader lets a value go. */
function isShallow(value: JsonValue): boolean {
  let level: readonly JsonValue[] = [value];
  for (let depth = 0; depth < 100 && level.length > 0; depth += 1) {
    level = level.flatMap((member) => (typeof member === "object" && member !== null ? Object.values(member) : []));
  }
  return level.length === 0;
}

const examplesOf = (type: string): JsonValue[] =>
  verdicts.flatMap((verdict) => (verdict.type === type && isShallow(verdict.input) ? [verdict.input] : []));

const types = [...new Set(verdicts.map(({ type }) => type))];

describe("every example of every type", () => {
  test.each(types)("%s", async (type) => {
    for (const settings of [{}, { timezone: "America/New_York" }]) {
      const plan = planOf(["text", type], { null_values: ["NA", ""], columns: { c1: settings } });
      const inputs = examplesOf(type);
      const records = inputs.map((input, index) => `{"c0":"k${index}","c1":${toJsonText(input)}}`);
      await expectSame(plan, `[${records.join(",")}]`);
      await expectSame(plan, `[${inputs.map((input) => `{"c1":${toJsonText(input)}}`).join(",")}]`);
    }
  });

  test("most of what is common goes the fast path", async () => {
    const common: Readonly<Record<string, string>> = {
      text: '"Müller \\"M\\" \\\\ \\n"',
      "varchar(3)": '"äöü"',
      integer: "-12",
      smallint: '"7"',
      bigint: "123456789012345678",
      numeric: "0.10",
      "numeric(10,2)": "-99999999.99",
      "double precision": "-0.25",
      boolean: "false",
      date: '"2026-02-28"',
      timestamp: '"2026-01-01 10:20:30.123456"',
      timestamptz: '"2026-01-01T10:20:30+05:30"',
      uuid: '"0188f7a0-0000-7000-8000-00000000abcd"',
    };
    for (const [type, value] of Object.entries(common)) {
      expect([type, await expectSame(planOf(["text", type]), `[{"c0":"k","c1":${value}}]`)]).toEqual([type, 1]);
    }
    expect(await expectSame(planOf(["text", "timestamptz"]), '[{"c0":"k","c1":"2026-01-01T10:20"}]')).toBe(1);
    expect(await expectSame(planOf(["text", "mood"]), '[ { "c0" : "k" , "c1" : "ok" } ]')).toBe(1);
    expect(await expectSame(planOf(["text", "text", "jsonb"]), '[{"c0":"k","c1":null,"Id":1,"stamp":"x"}]')).toBe(1);
  });
});

const spelled = (value: JsonValue): fc.Arbitrary<string> => fc.constant(toJsonText(value));
const characters = fc.constantFrom(
  ..."aB1 .,:{}[]/-+eZé😀",
  "\\n",
  "\\t",
  '\\"',
  "\\\\",
  "\\/",
  "\\b",
  "\\u0041",
  "\\ud800",
  "\\u0000",
);
const stringText = fc.array(characters, { maxLength: 8 }).map((parts) => `"${parts.join("")}"`);
const nullText = fc.constantFrom('""', '"NA"', '"N\\/A"', '"N/A"', '"\\u004eA"', "null");
const oddText = fc.constantFrom(
  "01",
  "-",
  "1.",
  "+1",
  "tru",
  "nullx",
  "NaN",
  "'a'",
  '"\t"',
  "{}",
  "[]",
  '{"a":1,"a":2}',
  "1e5",
  "1E400",
  "-0",
  "-0.0",
  "00.5",
);

function valueText(type: string): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...examplesOf(type)).chain(spelled) },
    { weight: 6, arbitrary: garbageOf(type).map((text) => JSON.stringify(text)) },
    { weight: 3, arbitrary: stringText },
    { weight: 2, arbitrary: nullText },
    { weight: 2, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String) },
    { weight: 1, arbitrary: oddText },
  );
}

const names = ["c0", "c1", "c2", "C1", "Id", "stamp", "other", "\\u0063\\u0031", "__proto__"];
const space = fc.constantFrom("", "", "", " ", "\n", "\r\n\t");

function recordText(columns: readonly string[]): fc.Arbitrary<string> {
  const member = fc
    .oneof(
      { weight: 20, arbitrary: fc.constantFrom("c0", "c1", "c2") },
      { weight: 2, arbitrary: fc.constantFrom(...names) },
    )
    .chain((name) => {
      const type = columns[Number(name.replace(/\D/g, "") || 0)] ?? "text";
      return fc.tuple(space, space, space, valueText(type)).map(([a, b, c, value]) => `${a}"${name}"${b}:${c}${value}`);
    });
  const key = fc.tuple(stringText, fc.nat(9)).map(([text, n]) => `"c0":${n < 8 ? text : '"NA"'}`);
  const members = fc.uniqueArray(member, { maxLength: 4, selector: (text) => text.trim().slice(0, 4) });
  const repeated = fc.array(member, { maxLength: 2 });
  return fc
    .tuple(key, fc.oneof({ weight: 9, arbitrary: members }, { weight: 1, arbitrary: repeated }), space)
    .map(([first, rest, end]) => `{${[first, ...rest.filter((text) => !text.includes('"c0"'))].join(",")}${end}}`);
}

test("P3: random records under random contracts, valid or not", async () => {
  let taken = 0;
  const world = fc
    .tuple(fc.constantFrom(...types), fc.constantFrom(...types), fc.constantFrom("reject", "ignore"))
    .chain(([one, two, unknown]) => {
      const columns = ["text", one, two];
      const records = fc.array(recordText(columns), { minLength: 1, maxLength: 4 });
      return records.map((texts) => ({ columns, unknown, text: `[${texts.join(",")}]` }));
    });
  await fc.assert(
    fc.asyncProperty(world, async ({ columns, unknown, text }) => {
      const contract = { unknown_fields: unknown, null_values: ["", "NA", "N/A"], required_fields: ["c1"] };
      taken += await expectSame(
        planOf(columns, unknown === "ignore" ? { ...contract, required_fields: [] } : contract),
        text,
      );
    }),
    { seed: 20260101, numRuns: 1_500 },
  );
  // A property that never takes the fast path would show nothing.
  expect(taken).toBeGreaterThan(150);
}, 60_000);
