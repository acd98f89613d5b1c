import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { onCrashPoint } from "../../lib/wiring.ts";
import { newBatch, type TestBatch } from "../support/batches.ts";
import { buryTheDead, waitForLock } from "../support/crash.ts";
import { type Flow, openFlow, type RunResult } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, specimens, subjects } from "../support/records.ts";

/** A table is changed by a transaction that is open when the commit begins, and ends while the commit waits for it. */

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => {
  buryTheDead();
  return flow.close();
});
afterEach(() => onCrashPoint(() => undefined));

async function loadParents(): Promise<TestBatch> {
  const batch = newBatch(flow);
  for (const table of ["subject", "specimen"]) await flow.queueRow({ batchId: batch.id, table, approved: true });
  await batch.drop("subject.json", subjects(batch.prefix, 3));
  await batch.drop("specimen.json", specimens(batch.prefix, 3, { quantity: 1.234 }));
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  await flow.arrivals();
  return batch;
}

async function stageTable(table: string, records: readonly object[]): Promise<TestBatch> {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table, approved: true });
  await batch.drop(`${table}.json`, records);
  return batch;
}

async function runBesideChange(change: string, input: object): Promise<RunResult> {
  const session = await flow.database.connect({ max: 1 }).reserve();
  let changed: Promise<unknown> | null = null;
  onCrashPoint(async (at) => {
    if (at !== "before-commit" || changed) return;
    await session`begin`;
    await session.unsafe(change);
    changed = waitForLock(flow).then(() => session`commit`);
  });
  const run = await flow.run(input);
  expect(changed).not.toBeNull();
  await changed;
  session.release();
  return run;
}

const quantitiesOf = async (prefix: string): Promise<string[]> => {
  const rows = await flow.sql<{ quantity: string }[]>`
    select quantity::text from specimen where sample_id like ${`${prefix}-%`} order by sample_id`;
  return rows.map(({ quantity }) => quantity);
};

describe("C09 a change of a table that is under way when the load commits is waited for", () => {
  test("a column becomes narrower: no value is rounded by the old plan", async () => {
    const parents = await loadParents();
    const records = specimens(parents.prefix, 3, { quantity: 2.345 });
    const named = records.map((record, index) => ({ ...record, sample_id: `${parents.prefix}N-${index}` }));
    const batch = await stageTable("specimen", named);
    const change = "alter table specimen alter column quantity type numeric(10, 1)";
    const run = await runBesideChange(change, { batchId: batch.id });
    expect(run).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
    expect(await quantitiesOf(`${parents.prefix}N`)).toEqual([]);
    await flow.sql`alter table specimen alter column quantity type numeric(10, 3)`;
    await expectInvariants(flow);
  });

  test("a table is rewritten: its rows are found, and updated", async () => {
    const parents = await loadParents();
    const batch = await stageTable("specimen", specimens(parents.prefix, 3, { quantity: 7 }));
    const change = "alter table specimen alter column storage_temperature_c type bigint";
    const run = await runBesideChange(change, { batchId: batch.id, strategy: "update_only" });
    expect(run).toMatchObject({ status: "SUCCEEDED", output: { status: "success", records_updated: 3 } });
    expect((await quantitiesOf(parents.prefix)).map(Number)).toEqual([7, 7, 7]);
    await flow.sql`alter table specimen alter column storage_temperature_c type integer`;
    await expectInvariants(flow);
  });

  test("a parent table that the load does not name is rewritten: its rows are found", async () => {
    const parents = await loadParents();
    const batch = await stageTable("blood", bloods(parents.prefix, 3));
    const change = "alter table subject alter column year_of_birth type bigint";
    const run = await runBesideChange(change, { batchId: batch.id });
    expect(run).toMatchObject({ status: "SUCCEEDED", output: { status: "success", records_loaded: 3 } });
    await flow.sql`alter table subject alter column year_of_birth type integer`;
    await expectInvariants(flow);
  });
});
