import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { BlockedError } from "../../lib/core/errors.ts";
import { contractsKey } from "../../lib/core/keys.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import { attemptsOf, ledgerOf, removeObject, sampleLoaded, stageSample } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";

let flow: Flow;
let sample: string;
beforeAll(async () => {
  sample = await readFile(new URL("../../config/tables.json", import.meta.url), "utf8");
  flow = await openFlow({ contracts: "{ this is not JSON" });
});
afterAll(() => flow.close());
afterEach(() => onCrashPoint(() => undefined));

type Contracts = { tables: Record<string, Record<string, unknown>> };

const changed = (change: (contracts: Contracts) => void): string => {
  const contracts = JSON.parse(sample) as Contracts;
  change(contracts);
  return JSON.stringify(contracts);
};

/** How often the machine waits before the environment is mended; every round is a ValidateBatch of its own. */
const rounds = 3;

/** Mends at the claim of the last round. */
function mendAfterRounds(mend: () => Promise<unknown>): void {
  let claims = 0;
  onCrashPoint(async (point) => {
    if (point !== "before-claim") return;
    claims += 1;
    if (claims === rounds) await mend();
  });
}

test("contracts that were never valid: blocked, with the reason; it goes on by itself when they are mended", async () => {
  const batch = await stageSample(flow);
  const reasons: (string | null | undefined)[] = [];
  mendAfterRounds(async () => {
    const status = await flow.invoke("operate", { operation: "status", batchId: batch.id });
    reasons.push((await ledgerOf(flow, batch))?.reason_code);
    expect(status).toMatchObject({ status: { health: "BLOCKED", reason_code: "CONTRACT_INVALID" } });
    await flow.put(contractsKey, sample);
  });
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success", attempt: 1 } }]);
  expect(runs[0]?.states.filter((state) => state === "BlockedWait")).toHaveLength(rounds - 1);
  expect(reasons).toEqual(["CONTRACT_INVALID"]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(flow.objects(`failed/${batch.id}/`)).toEqual([]);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded", reason_code: null });
  expect(await attemptsOf(flow, batch)).toEqual(["loaded"]);
  await expectInvariants(flow);
});

test("a newer contract that is invalid: the last good one is used", async () => {
  const batch = await stageSample(flow);
  await flow.put(
    contractsKey,
    changed(({ tables }) => {
      tables.blood = { ...tables.blood, natural_key: ["no_such_column"] };
    }),
  );
  expect((await flow.arrivals()).runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await removeObject(flow, contractsKey);
  const next = await stageSample(flow);
  expect((await flow.arrivals()).runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  expect(await next.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("a valid change takes effect with the next plan, and one load uses one version from plan to commit", async () => {
  await flow.put(contractsKey, sample);
  const first = await stageSample(flow);
  await first.drop("blood.json", [{ sample_id: `${first.prefix}-B1`, note_of_the_lab: "x" }]);
  await flow.approve(first.id);
  await flow.sql`update validation_queue set approved_at = now() + interval '2 seconds' where batch_id = ${first.id}`;
  const tolerant = changed(({ tables }) => {
    tables.blood = { ...tables.blood, unknown_fields: "ignore" };
  });
  onCrashPoint(async (point) => {
    if (point === "after-plan") await flow.put(contractsKey, tolerant);
  });
  expect(await flow.run({ batchId: first.id })).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
  onCrashPoint(() => undefined);
  const second = await stageSample(flow);
  await second.drop(
    "blood.json",
    [1, 2, 3].map((number) => ({
      sample_id: `${second.prefix}-B${number}`,
      global_subject_id: `${second.prefix}-${number}`,
      date_collected: "2024-05-06",
      tube_type: "EDTA",
      volume_ml: number,
      note_of_the_lab: "x",
    })),
  );
  await flow.invoke("operate", { operation: "approve", batchId: second.id, approvedBy: "data manager" });
  expect(await flow.run({ batchId: second.id })).toMatchObject({ status: "SUCCEEDED" });
  expect(await second.probe()).toEqual(sampleLoaded);
  await flow.put(contractsKey, sample);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a permission that is missing blocks in every state before the commit, and is never the batch's fault", async () => {
  await flow.put(contractsKey, sample);
  const batch = await stageSample(flow);
  const rename = (from: string, to: string) => flow.sql.unsafe(`alter table ${from} rename to ${to}`);
  let broken = false;
  onCrashPoint(async (point) => {
    if (point === "before-commit" && !broken) {
      broken = true;
      await rename("table_loader.undo_images", "undo_images_away");
      mendAfterRounds(() => rename("table_loader.undo_images_away", "undo_images"));
    }
  });
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success", attempt: 1 } }]);
  expect(runs[0]?.states.filter((state) => state === "BlockedWait")).toHaveLength(rounds);
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(flow.objects(`failed/${batch.id}/`)).toEqual([]);
  await expectInvariants(flow);
});

test("S02 what blocks a worker is the reason in status and notice, not that fragments are left", async () => {
  await flow.put(contractsKey, sample);
  const batch = await stageSample(flow);
  const reasons: unknown[] = [];
  let claims = 0;
  onCrashPoint(async (point) => {
    if (point === "mid-copy" && claims === 1) throw new BlockedError("S3_ACCESS", "S3 denies access");
    if (point !== "before-claim") return;
    claims += 1;
    if (claims === 2) reasons.push((await ledgerOf(flow, batch))?.reason_code);
  });
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  expect(reasons).toEqual(["S3_ACCESS"]);
  const notice = flow.notices.findLast(({ state }) => state === "NotifyBlocked");
  expect(notice?.message).toContain("S3_ACCESS: S3 denies access");
  expect(await batch.probe()).toEqual(sampleLoaded);
});
