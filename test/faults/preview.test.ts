import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { newBatch, type TestBatch } from "../support/batches.ts";
import { sweepOnce } from "../support/crash.ts";
import { bloods, subjects } from "../support/records.ts";
import { crash } from "./lab/drive.ts";
import type { Act, Exchange } from "./lab/exchanges.ts";
import { changesBetween, evidenceOf, expectInvariants, worldOf } from "./lab/invariants.ts";
import { type Lab, openLab } from "./lab/lab.ts";

/** I8 while the world falls apart: whatever befalls a preview, it changes nothing but its report. */

let lab: Lab;
beforeAll(async () => {
  lab = await openLab();
});
afterEach(() => lab.network.heal());
afterAll(() => lab.close());

/** Loaded rows that the fragments in staging would change, and others that they would add; nobody has approved them. */
async function stageUnapproved(): Promise<TestBatch> {
  const loaded = newBatch(lab);
  await lab.queueRow({ batchId: loaded.id, table: "subject", approved: true });
  await loaded.drop("subject.json", subjects(loaded.prefix, 3));
  expect(await lab.run({ batchId: loaded.id })).toMatchObject({ status: "SUCCEEDED" });

  const batch = newBatch(lab);
  for (const table of ["subject", "blood"]) await lab.queueRow({ batchId: batch.id, table });
  const changed = { center_code: "NEW", source_updated_at: "2025-01-01T00:00:00Z" };
  await batch.drop("subject.json", subjects(loaded.prefix, 3, changed));
  await batch.drop("blood.json", bloods(loaded.prefix, 3));
  return batch;
}

/** Leftovers are what is old enough to be nobody's any more. */
async function sweepUp(): Promise<Record<string, number>> {
  await lab.quiet();
  await lab.sql`
    update table_loader.plans set created_at = now() - interval '1 hour', lease_until = now() - interval '1 second'`;
  const { healed, started } = await sweepOnce(lab);
  expect(started).toEqual([]);
  await lab.quiet();
  return healed;
}

const world = () => worldOf(evidenceOf(lab));
/** What a sweep notes of itself: when the contracts were valid last, how far it has walked, and what it has healed. */
const notesOfSweep = ["table_loader.contracts", "table_loader.cursors", "table_loader.healings"];

async function changesSince(before: Record<string, string>): Promise<string[]> {
  return changesBetween(before, await world()).filter((name) => !notesOfSweep.includes(name));
}

const reportsOf = ({ id }: TestBatch) => lab.current(`previews/${id}/`);

const merging = ({ by, text }: Exchange): boolean =>
  by === "commit-batch" && text.startsWith('insert into "public"."blood"');

type Disturbance = {
  readonly name: string;
  readonly when: (exchange: Exchange) => boolean;
  readonly act: Act;
  readonly healed: unknown;
};

const crashServer = async (): Promise<void> => {
  await lab.loseDatabase("crash");
  await lab.restoreDatabase();
};

const disturbances: Disturbance[] = [
  { name: "undisturbed", when: merging, act: async () => undefined, healed: {} },
  { name: "its commit-batch is killed in the middle", when: merging, act: "kill-before", healed: {} },
  {
    name: "the server crashes in the middle of staging",
    when: ({ text }) => text === "copy data",
    act: crashServer,
    // whoever tries again may have to plan again
    healed: expect.anything(),
  },
];

test.each(disturbances)(
  "I8 $name: the preview comes to its report, and nothing else is changed",
  async (disturbance) => {
    const batch = await stageUnapproved();
    await sweepUp();
    const before = await world();
    const met = lab.network.exchanges.on(disturbance);
    const { status, output } = await lab.run({ batchId: batch.id, dryRun: true });
    await met;
    const counts = { records_read: 6, records_loaded: 3, records_updated: 3 };
    expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { status: "preview", ...counts } });
    expect(await reportsOf(batch)).toHaveLength(1);
    expect(await sweepUp()).toEqual(disturbance.healed);
    expect(await changesSince(before)).toEqual([]);
    await expectInvariants(lab);
  },
);

test("I8 a preview that is killed and lost leaves a plan to the sweep, and nothing else", async () => {
  const batch = await stageUnapproved();
  await sweepUp();
  const before = await world();
  const order = () => void lab.network.exchanges.on({ when: merging, act: "kill-before" });
  const death = await crash(lab, batch, { input: { dryRun: true }, order, execution: "is lost" });
  expect(death).toMatchObject({ name: "commit-batch", signal: "SIGKILL" });
  expect(await changesSince(before)).toContain("table_loader.plans");
  expect(await sweepUp()).toEqual({ ORPHANED_STAGING: 1 });
  expect(await reportsOf(batch)).toEqual([]);
  expect(await changesSince(before)).toEqual([]);
  await expectInvariants(lab);
});
