import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { CrashPoint } from "../../lib/core/ports.ts";
import type { Run } from "../../lib/core/run.ts";
import { randomExecutionName } from "../../lib/local/interpreter.ts";
import { ledgerOf, nothingLoaded, queueOf, sampleLoaded, stageSample, type TestBatch } from "../support/batches.ts";
import { sweepOnce, takeOver, waitForLock } from "../support/crash.ts";
import { finish } from "./lab/drive.ts";
import { expectInvariants } from "./lab/invariants.ts";
import { type Lab, openLab } from "./lab/lab.ts";
import type { Sandbox } from "./lab/sandbox.ts";

/** A sandbox stops in the middle of its work, is given up, and goes on when somebody else has done it. */

let lab: Lab;
beforeAll(async () => {
  lab = await openLab();
});
const stopped = new Set<Sandbox>();
afterEach(() => {
  // one that a failed test has left would hold its locks
  for (const sandbox of stopped) sandbox.signal("SIGKILL");
  stopped.clear();
});
afterAll(() => lab.close());

async function expectLoaded(batch: TestBatch): Promise<void> {
  await lab.quiet();
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await queueOf(lab, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  await expectInvariants(lab);
  expect(await sweepOnce(lab)).toMatchObject({ started: [] });
  await lab.quiet();
  await expectInvariants(lab);
}

/** The execution runs until its sandbox has stopped at the point. */
async function stopAt(batch: TestBatch, point: CrashPoint): Promise<Sandbox> {
  const obeyed = lab.sandboxes.order({ point, signal: "SIGSTOP" });
  lab.machine.start(randomExecutionName(), JSON.stringify({ batchId: batch.id }));
  const zombie = await obeyed;
  stopped.add(zombie);
  return zombie;
}

/** It goes on, and is done with its invocation. */
async function wake(zombie: Sandbox): Promise<void> {
  zombie.signal("SIGCONT");
  stopped.delete(zombie);
  await lab.quiet();
}

const outside: CrashPoint[] = [
  "after-claim",
  "after-plan",
  "before-commit",
  "after-commit",
  "before-archive-copy",
  "before-archive-delete",
  "after-archive-copy",
  "after-archive",
  "after-report",
];

test.each(outside)(
  "stopped %s, outside of a transaction: another execution finishes, and it does nothing",
  async (at) => {
    const batch = await stageSample(lab);
    const zombie = await stopAt(batch, at);
    lab.loseMachine();
    expect((await takeOver(lab, batch)).runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
    expect(await batch.probe()).toEqual(sampleLoaded);
    const { fence } = (await ledgerOf(lab, batch)) ?? {};
    await wake(zombie);
    expect(await ledgerOf(lab, batch)).toMatchObject({ state: "loaded", fence });
    await expectLoaded(batch);
  },
);

const staging: CrashPoint[] = ["mid-copy", "after-copy"];

test.each(staging)("stopped %s: another execution loads the batch, and its rows roll back", async (point) => {
  const batch = await stageSample(lab);
  const zombie = await stopAt(batch, point);
  lab.loseMachine();
  expect((await takeOver(lab, batch)).runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await wake(zombie);
  // the staging table that its COPY held was left to the sweep
  expect(await sweepOnce(lab)).toMatchObject({ started: [], healed: { ORPHANED_STAGING: 1 } });
  await expectLoaded(batch);
});

test("stopped before COMMIT: whoever comes meanwhile takes nothing over, and it takes effect once", async () => {
  const batch = await stageSample(lab);
  const zombie = await stopAt(batch, "after-merge");
  lab.loseMachine();
  // a locked row is a commit on its way, whatever has become of its execution
  expect(await sweepOnce(lab)).toMatchObject({ started: [] });
  expect(await batch.probe()).toEqual(nothingLoaded);
  await wake(zombie);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await finish(lab, batch);
  await expectLoaded(batch);
});

test("a task that is tried again beside the one that still runs: one of the two does the work", async () => {
  const batch = await stageSample(lab);
  const obeyed = lab.sandboxes.order({ point: "mid-copy", signal: "SIGSTOP" });
  const run = lab.run({ batchId: batch.id });
  const zombie = await obeyed;
  stopped.add(zombie);
  zombie.abandon("Lambda.Unknown");
  await waitForLock(lab);
  await wake(zombie);
  expect(await run).toMatchObject({ status: "SUCCEEDED", output: { status: "success", records_read: 6 } });
  await expectLoaded(batch);
});

test("two workers on the same items, one of them twice: every record once", async () => {
  const batch = await stageSample(lab);
  const execution = `${batch.id}-by-hand`;
  const run = (await lab.invoke("validate-batch", { input: { batchId: batch.id }, execution })) as Run;
  const stage = (worker: number) => lab.invoke("stage-fragments", { run, execution, worker });
  const ended = await Promise.allSettled([stage(1), stage(1), stage(2)]);
  const errors = ended.flatMap((one) => (one.status === "rejected" ? [(one.reason as Error).name] : []));
  expect(errors.filter((name) => name !== "TransientError")).toEqual([]);
  expect(await stage(3)).toMatchObject({ next: "done" });
  for (const name of ["commit-batch", "archive-fragments", "close-batch"] as const) {
    await lab.invoke(name, { run, execution });
  }
  await expectLoaded(batch);
});

test("stopped before the report: the report that stays is the successor's", async () => {
  const batch = await stageSample(lab);
  const zombie = await stopAt(batch, "before-report");
  lab.loseMachine();
  await takeOver(lab, batch);
  await wake(zombie);
  await expectLoaded(batch);
});
