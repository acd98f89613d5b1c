import { expect, test } from "vitest";
import { openPostgresHome } from "./postgres-target.ts";
import { describeTarget, obligations } from "./suite.ts";
import { type Capability, capabilities, type TableDescription, type TargetHome } from "./target-under-test.ts";

/** A target that can do less: the suite shows each lack, and asks for everything else all the same. */

const lacks = {
  enums: "this target has no enum types",
  "foreign keys": "this target knows foreign keys, and does not enforce them",
} as const satisfies TargetHome["lacks"];

async function openLesserTarget(): Promise<TargetHome> {
  const whole = await openPostgresHome();
  const createTable = async (table: TableDescription): Promise<void> => {
    const kinds = table.columns.map(({ kind }) => kind);
    if (kinds.some((kind) => typeof kind === "object" && "labels" in kind)) throw new Error(lacks.enums);
    const { references: _, ...unenforced } = table;
    await whole.createTable(unenforced);
  };
  return { ...whole, lacks: { ...whole.lacks, ...lacks }, createTable };
}

describeTarget("a target without enums and foreign keys", openLesserTarget);

test("every capability is asked for by some obligation", () => {
  const asked = new Set<Capability>(obligations.flatMap(({ needs = [] }) => needs));
  expect(capabilities.filter((capability) => !asked.has(capability))).toEqual([]);
  expect(new Set(obligations.map(({ name }) => name)).size).toBe(obligations.length);
});
