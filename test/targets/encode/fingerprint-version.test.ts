import { expect, test } from "vitest";
import { parseContracts } from "../../../lib/core/contract.ts";
import { fingerprintVersion } from "../../../lib/core/fingerprint.ts";
import type { TablePlan } from "../../../lib/core/plan.ts";
import type { WorkItem } from "../../../lib/core/work-item.ts";
import { openTableEncoder } from "../../../lib/targets/postgres/encode/table-encoder.ts";
import { key, readFrom, stored, storeOf } from "../../readers/support.ts";
import { columnOfType, columnTypeOf } from "./column-types.ts";

/** A value of every family of types, spelled so that some take the fast path and some do not. */
const values = [
  ["integer", "-12"],
  ["bigint", "9007199254740993"],
  ["numeric(10,2)", '"1.5"'],
  ["double precision", "1e2"],
  ["boolean", '"yes"'],
  ["text", JSON.stringify('Müller "M" \\ \n\t')],
  ["date", '"2026-02-28"'],
  ["timestamptz", '"2026-01-01T10:20:30+05:30"'],
  ["uuid", '"{0188F7A0-0000-7000-8000-00000000ABCD}"'],
  ["jsonb", '{"b":[1,2.50],"a":null}'],
  ["integer[]", "[1,null,3]"],
  ["bytea", '"\\\\x00ff"'],
  ["interval", '"P1DT2H"'],
] as const;

function planOf(types: readonly string[]): TablePlan {
  const columns = types.map((type, index) => ({ ...columnOfType(columnTypeOf(type)), name: `c${index}` }));
  const { contracts, faults } = parseContracts(JSON.stringify({ tables: { t: { natural_key: ["c0"] } } }));
  if (!contracts) throw new Error(faults.join("; "));
  const shape = { name: "t", schema: "public", columns } as unknown as TablePlan["shape"];
  return { table: "t", shape, contract: contracts.tables["t"] as TablePlan["contract"], columns, guarded: true };
}

/** What is stored of loaded fragments was computed like this; it must come out the same as long as the version stays. */
test("a fingerprint of version 1 is the one that was stored by earlier code", async () => {
  const members = values.map(([, value], index) => `"c${index + 1}":${value}`);
  const records = `[{"c0":"k",${members.join(",")}},{"c0":"absent"},{"c0":"rejected","c1":"x"}]`;
  const plan = planOf(["text", ...values.map(([type]) => type)]);
  const encoder = openTableEncoder(plan).begin({ itemId: 7, table: "t", object: { key } } as unknown as WorkItem);
  const writer = { write: async () => undefined };
  const { groups } = await readFrom(storeOf(stored(records)), { from: null, take: encoder.take });
  for (const group of groups) await encoder.send(group, writer);
  const { rejected, fingerprint } = await encoder.end();
  expect(fingerprintVersion).toBe(1);
  expect({ rejected, fingerprint: fingerprint.toString(16) }).toEqual({
    rejected: 1,
    fingerprint: "2ca7b45bc9fe625c0de2e188e7f2e852",
  });
});
