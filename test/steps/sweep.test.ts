import { afterAll, beforeAll, expect, test } from "vitest";
import { openLoader } from "../../lib/wiring.ts";
import { ledgerOf, sampleLoaded, stageSample } from "../support/batches.ts";
import { buryTheDead, crashAt, expireLease, sweepOnce } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => {
  buryTheDead();
  return flow.close();
});

test("two sweeps never overlap; one that died is followed when its lease has ended", async () => {
  const loader = await openLoader();
  const { sweeps } = loader.ports;
  expect(await sweeps.begin("first")).toBe(true);
  expect(await sweeps.begin("second")).toBe(false);
  expect(await sweepOnce(flow)).toMatchObject({ ran: false, started: [] });
  await sweeps.end("second");
  expect(await sweeps.begin("second")).toBe(false);
  await flow.sql`update table_loader.leases set lease_until = now() - interval '1 second'`;
  expect(await sweeps.begin("second")).toBe(true);
  await sweeps.end("second");
  await loader.close();
  expect(await sweepOnce(flow)).toMatchObject({ ran: true });
});

test("what nobody owns is dropped: staging tables without a plan, plans without a batch; a living load is left", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "mid-copy", { time: 2 });
  await flow.sql.unsafe("create unlogged table table_loader_staging.p999999_0 (a text)");
  await flow.sql`
    insert into table_loader.plans (batch_id, run_id, kind, epoch, attempt, body, created_at)
    values ('batch_20200101_000000', 'gone', 'load', 1, 1, '{}', now() - interval '1 hour'),
           ('batch_20200101_000001', 'just being made', 'load', 1, 1, '{}', now())`;
  await flow.sql`update table_loader.plans set created_at = now() - interval '1 hour' where batch_id = ${batch.id}`;
  expect(await sweepOnce(flow)).toMatchObject({ started: [], dropped: 2 });
  const left = await flow.sql`select run_id from table_loader.plans where run_id in ('gone', 'just being made')`;
  expect([...left]).toEqual([{ run_id: "just being made" }]);
  await flow.sql`delete from table_loader.plans where run_id = 'just being made'`;
  await expireLease(flow, batch);
  await sweepOnce(flow);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("stalled and blocked loads are counted, as loader_status shows them", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "before-commit");
  expect(await flow.invoke("sweep")).toMatchObject({ stalled: 0, blocked: 0 });
  await flow.sql`update table_loader.batches set updated_at = now() - interval '6 minutes' where batch_id = ${batch.id}`;
  expect(await flow.invoke("sweep")).toMatchObject({ stalled: 1, blocked: 0, started: [] });
  await flow.sql`update table_loader.batches set reason_code = 'S3_ACCESS' where batch_id = ${batch.id}`;
  expect(await flow.invoke("sweep")).toMatchObject({ stalled: 0, blocked: 1, started: [] });
  await expireLease(flow, batch);
  expect((await sweepOnce(flow)).runs).toMatchObject([{ status: "SUCCEEDED" }]);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded", reason_code: null });
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a sweep finds every batch that is ready, and starts each once", async () => {
  const batches = await Promise.all([stageSample(flow), stageSample(flow), stageSample(flow)]);
  const swept = await sweepOnce(flow);
  expect([...swept.started].sort()).toEqual(batches.map(({ id }) => id).sort());
  for (const batch of batches) expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  await flow.arrivals();
  await expectInvariants(flow);
});
