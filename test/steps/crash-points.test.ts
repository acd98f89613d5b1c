import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CrashPoint } from "../../lib/core/ports.ts";
import {
  attemptsOf,
  ledgerOf,
  newBatch,
  nothingLoaded,
  queueOf,
  sampleLoaded,
  stageSample,
} from "../support/batches.ts";
import { buryTheDead, crashAt, sweepOnce, takeOver } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, subjects } from "../support/records.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => {
  buryTheDead();
  return flow.close();
});

const atStart = { state: "waiting", fence: 1, targets: nothingLoaded, attempts: ["loaded"] };
const loading = { state: "loading", fence: 1, targets: nothingLoaded, attempts: ["abandoned", "loaded"] };
const committed = { ...loading, state: "committed", targets: sampleLoaded };

type Death = {
  readonly id: string;
  readonly point: CrashPoint;
  readonly time?: number;
  /** How batch, targets and attempts are right after; `attempts` at the end. */
  readonly left: typeof loading;
};

const deaths: Death[] = [
  { id: "K02 after the claim", point: "after-claim", left: atStart },
  { id: "K02 after the plan", point: "after-plan", left: loading },
  { id: "K03 in the middle of COPY", point: "mid-copy", left: loading },
  { id: "K03 in the middle of the second COPY", point: "mid-copy", time: 2, left: loading },
  { id: "K03 after COPY, before its commit", point: "after-copy", left: loading },
  { id: "K04 before the merge", point: "before-commit", left: loading },
  { id: "K04 after the merge, before COMMIT", point: "after-merge", left: loading },
  { id: "K06 after COMMIT, before the archive", point: "after-commit", left: committed },
  { id: "K07 before the first archive copy", point: "before-archive-copy", left: committed },
  { id: "K08 after the copy of one object", point: "after-archive-copy", left: committed },
  { id: "K08 after all copies", point: "after-archive", left: committed },
  { id: "K12 before the report", point: "before-report", left: { ...committed, state: "archived" } },
  { id: "K11, K12 after the report", point: "after-report", left: { ...committed, state: "archived" } },
];

test.each(deaths)("$id: the successor finishes, exactly once", async ({ point, time, left }) => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, point, time === undefined ? {} : { time });
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: left.state, fence: left.fence });
  expect(await batch.probe()).toEqual(left.targets);
  expect(flow.objects(`loaded/${batch.id}/`).length > 0 && left.state === "loading").toBe(false);

  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  const swept = await takeOver(flow, batch);
  expect(swept).toMatchObject({ started: [batch.id], runs: [{ status: "SUCCEEDED", output: { status: "success" } }] });
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded", fence: left.fence + 1, attempt: 1 });
  expect(await attemptsOf(flow, batch)).toEqual(left.attempts);
  expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  expect(flow.objects(`staging/validated/${batch.id}/`)).toEqual([]);
  const archived = ["blood.json", "load_result.json", "subject.json"].map((name) => `loaded/${batch.id}/${name}`);
  expect(flow.objects(`loaded/${batch.id}/`)).toEqual(archived);
  await expectInvariants(flow);
});

test("K01 before the claim: no trace, and the sweep loads it", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "before-claim");
  expect(await ledgerOf(flow, batch)).toBeUndefined();
  expect(await sweepOnce(flow)).toMatchObject({ started: [batch.id], runs: [{ status: "SUCCEEDED" }] });
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("K12 after the close: nothing is left to do", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "after-close");
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await attemptsOf(flow, batch)).toEqual(["loaded"]);
  await expectInvariants(flow);
});

describe("a batch that fails", () => {
  const failing: CrashPoint[] = ["after-archive-copy", "before-report"];

  test.each(failing)("killed %s: the successor ends it as failed, with the same error log", async (point) => {
    const batch = newBatch(flow);
    await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
    await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
    const [first, ...others] = subjects(batch.prefix, 3);
    await batch.drop("subject.json", [{ ...first, consent: "perhaps" }, ...others]);
    await batch.drop("blood.json", [...bloods(batch.prefix, 3), ...bloods(`${batch.prefix}-none`, 1)]);
    await crashAt(flow, batch, point);
    expect(await ledgerOf(flow, batch)).toMatchObject({ state: "failing" });
    const swept = await takeOver(flow, batch);
    expect(swept.runs).toMatchObject([{ status: "FAILED", error: "RECORDS_REJECTED" }]);
    expect(await batch.probe()).toEqual(nothingLoaded);
    expect(await attemptsOf(flow, batch)).toEqual(["abandoned", "failed"]);
    const log = (await flow.json(`failed/${batch.id}/error_log.json`)) as { rejected_records: { code: string }[] };
    expect(log.rejected_records.map(({ code }) => code).sort()).toContain("VALUE_TYPE");
    const report = await flow.json(`failed/${batch.id}/load_result.json`);
    expect(report).toMatchObject({ status: "failed", tables: { subject: { records_failed: 1 } } });
    await expectInvariants(flow);
  });
});
