import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ExecutionStatus } from "../../lib/core/execution.ts";
import type { CrashPoint } from "../../lib/core/ports.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import {
  attemptsOf,
  ledgerOf,
  newBatch,
  nothingLoaded,
  queueOf,
  sampleLoaded,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { buryTheDead, crashAt, expireLease, sweepOnce } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, subjects } from "../support/records.ts";

/** Executions that have ended, and still hold their batch. */

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => {
  buryTheDead();
  return flow.close();
});
afterEach(() => onCrashPoint(() => undefined));

type Ended = { readonly status: ExecutionStatus; readonly error?: string };

/** The execution of the batch ends in the middle of its work, and no task of it hears of that. */
async function endAt(batch: TestBatch, point: CrashPoint, ended: Ended): Promise<void> {
  await crashAt(flow, batch, point);
  const [row] = await flow.sql<{ owner: string }[]>`
    select owner from table_loader.batches where batch_id = ${batch.id}`;
  Object.assign(flow.machine.find(row?.owner ?? "") ?? {}, ended);
}

type Status = { status: { healings: { kind: string; detail: string }[]; attempts: { code: string | null }[] } };

const statusOf = async ({ id }: TestBatch): Promise<Status["status"]> =>
  ((await flow.invoke("operate", { operation: "status", batchId: id })) as Status).status;

const endings: { id: string; code: string; ended: Ended; says: string }[] = [
  { id: "aborted", code: "EXECUTION_ABORTED", ended: { status: "ABORTED" }, says: "was aborted" },
  { id: "out of time", code: "EXECUTION_TIMED_OUT", ended: { status: "TIMED_OUT" }, says: "ran out of time" },
  ...["States.DataLimitExceeded", "States.Runtime"].map((error) => ({
    id: error,
    code: "EXECUTION_FAILED",
    ended: { status: "FAILED" as const, error },
    says: `was ended by ${error}`,
  })),
];

describe("K14 an execution that was ended from outside", () => {
  test.each(endings)(
    "$id: failed with $code within one sweep, with log, report and notice; retry loads it",
    async ({ code, ended, says }) => {
      const batch = await stageSample(flow);
      await endAt(batch, "mid-copy", ended);
      const swept = await sweepOnce(flow);
      expect(swept).toMatchObject({ started: [batch.id], healed: { [code]: 1 } });
      expect(swept.runs).toMatchObject([{ status: "FAILED", error: code }]);
      expect(swept.runs[0]?.cause).toContain(says);
      expect(swept.runs[0]?.cause).toContain("start the batch again with action retry");
      expect(await batch.probe()).toEqual(nothingLoaded);
      expect(await ledgerOf(flow, batch)).toMatchObject({ state: "failed" });
      expect(await attemptsOf(flow, batch)).toEqual(["aborted", "failed"]);
      expect(await queueOf(flow, batch)).toEqual({ subject: "load_failed", blood: "load_failed" });
      expect(await flow.json(`failed/${batch.id}/error_log.json`)).toMatchObject({ error: { code } });
      expect(await flow.json(`failed/${batch.id}/load_result.json`)).toMatchObject({
        status: "failed",
        errors: [{ code }],
      });
      expect(flow.notices.at(-1)).toMatchObject({ state: "NotifyFailure" });
      expect((await statusOf(batch)).healings).toMatchObject([{ kind: code }]);
      await expectInvariants(flow);
      expect(await sweepOnce(flow)).toMatchObject({ started: [] });
      expect(await flow.run({ batchId: batch.id, action: "retry" })).toMatchObject({ status: "SUCCEEDED" });
      expect(await batch.probe()).toEqual(sampleLoaded);
      await flow.arrivals();
      await expectInvariants(flow);
    },
  );

  test("between claim and plan: planned, and failed in the same way", async () => {
    const batch = await stageSample(flow);
    await endAt(batch, "after-claim", { status: "ABORTED" });
    expect((await sweepOnce(flow)).runs).toMatchObject([{ status: "FAILED", error: "EXECUTION_ABORTED" }]);
    expect(await attemptsOf(flow, batch)).toEqual(["aborted", "failed"]);
    expect(flow.objects(`failed/${batch.id}/`)).toContain(`failed/${batch.id}/subject.json`);
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test("between claim and plan of a batch that is not ready any more: it waits, and loads when it is", async () => {
    const batch = await stageSample(flow);
    await endAt(batch, "after-claim", { status: "ABORTED" });
    await flow.sql`update validation_queue set approved_for_load = false where batch_id = ${batch.id}`;
    expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { code: "NOT_APPROVED" } }]);
    await flow.approve(batch.id);
    expect((await sweepOnce(flow)).runs).toMatchObject([{ output: { status: "success" } }]);
    expect(await batch.probe()).toEqual(sampleLoaded);
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test("when its lease has ended by then, it is failed as well", async () => {
    const batch = await stageSample(flow);
    await endAt(batch, "before-commit", { status: "ABORTED" });
    await expireLease(flow, batch);
    expect((await sweepOnce(flow)).runs).toMatchObject([{ status: "FAILED", error: "EXECUTION_ABORTED" }]);
    expect(await batch.probe()).toEqual(nothingLoaded);
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test("when the successor dies before it has failed the batch, the next one does", async () => {
    const batch = await stageSample(flow);
    await endAt(batch, "mid-copy", { status: "ABORTED" });
    await crashAt(flow, batch, "after-claim", { begin: () => flow.invoke("sweep") });
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loading", fence: 2 });
    await expireLease(flow, batch);
    expect((await sweepOnce(flow)).runs).toMatchObject([{ status: "FAILED", error: "EXECUTION_ABORTED" }]);
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "failed" });
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test.each<CrashPoint>(["after-commit", "before-report"])("%s: the batch is loaded, and goes on", async (point) => {
    const batch = await stageSample(flow);
    await endAt(batch, point, { status: "FAILED", error: "States.Runtime" });
    const swept = await sweepOnce(flow);
    expect(swept).toMatchObject({
      healed: { EXECUTION_FAILED: 1 },
      runs: [{ output: { status: "success", code: "" } }],
    });
    expect(await batch.probe()).toEqual(sampleLoaded);
    expect(await flow.json(`loaded/${batch.id}/load_result.json`)).toMatchObject({ status: "success", errors: [] });
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test("a batch that was failing already keeps its own fault", async () => {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
    await batch.drop("blood.json", bloods(`${batch.prefix}-none`, 2));
    await endAt(batch, "after-archive-copy", { status: "ABORTED" });
    expect((await sweepOnce(flow)).runs).toMatchObject([{ status: "FAILED", error: "RECORDS_REJECTED" }]);
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test("a comparison that was ended is not begun again and again", async () => {
    const batch = await stageSample(flow);
    await flow.run({ batchId: batch.id });
    await flow.arrivals();
    await batch.drop("subject.json", subjects(batch.prefix, 2));
    await endAt(batch, "after-plan", { status: "ABORTED" });
    expect((await sweepOnce(flow)).runs).toMatchObject([{ status: "FAILED", error: "EXECUTION_ABORTED" }]);
    expect(await sweepOnce(flow)).toMatchObject({ started: [] });
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
    expect(await batch.probe()).toEqual(sampleLoaded);
    await expectInvariants(flow);
  });
});

describe("an execution that has left its batch", () => {
  test("EXECUTION_LOST: one that Step Functions does not know is followed at once, and not after its lease", async () => {
    const batch = await stageSample(flow);
    await flow.invoke("validate-batch", { input: { batchId: batch.id }, execution: `${flow.machine.arn}:forgotten` });
    const swept = await sweepOnce(flow);
    expect(swept).toMatchObject({ started: [batch.id], healed: { EXECUTION_LOST: 1 } });
    expect(swept.runs).toMatchObject([{ output: { status: "success", attempt: 1 } }]);
    expect(await batch.probe()).toEqual(sampleLoaded);
    expect((await statusOf(batch)).healings).toMatchObject([{ kind: "EXECUTION_LOST" }]);
    await flow.arrivals();
    await expectInvariants(flow);
  });

  test.each<Ended>([{ status: "FAILED", error: "BlockedError" }, { status: "SUCCEEDED" }])(
    "$status $error: the load is resumed",
    async (ended) => {
      const batch = await stageSample(flow);
      await endAt(batch, "before-commit", ended);
      const swept = await sweepOnce(flow);
      expect(swept).toMatchObject({ healed: { EXECUTION_LOST: 1 }, runs: [{ output: { status: "success" } }] });
      expect(await batch.probe()).toEqual(sampleLoaded);
      await flow.arrivals();
      await expectInvariants(flow);
    },
  );

  test("LEASE_EXPIRED is recorded, with time, and listed by status", async () => {
    const batch = await stageSample(flow);
    await crashAt(flow, batch, "mid-copy");
    await expireLease(flow, batch);
    expect(await sweepOnce(flow)).toMatchObject({ healed: { LEASE_EXPIRED: 1 } });
    const [healing] = await flow.sql`
      select kind, detail, healed_at > now() - interval '1 minute' as recent
      from table_loader.healings where batch_id = ${batch.id}`;
    expect(healing).toMatchObject({ kind: "LEASE_EXPIRED", recent: true });
    expect((await statusOf(batch)).healings).toMatchObject([{ kind: "LEASE_EXPIRED" }]);
    await flow.arrivals();
    await expectInvariants(flow);
  });
});
