import { afterAll, beforeAll, expect, test } from "vitest";
import type { BatchStatus } from "../../lib/core/operations.ts";
import { sweep } from "../../lib/steps/sweep.ts";
import { openLoader, openStarter } from "../../lib/wiring.ts";
import { ledgerOf, sampleLoaded, stageSample } from "../support/batches.ts";
import { buryTheDead, crashAt, expectNothingToHeal, expireLease, sweepOnce } from "../support/crash.ts";
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
  expect(await sweepOnce(flow)).toMatchObject({ started: [], healed: { ORPHANED_STAGING: 2 } });
  const left = await flow.sql`select run_id from table_loader.plans where run_id in ('gone', 'just being made')`;
  expect([...left]).toEqual([{ run_id: "just being made" }]);
  await flow.sql`delete from table_loader.plans where run_id = 'just being made'`;
  await expireLease(flow, batch);
  await sweepOnce(flow);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("staging that a frozen worker holds is healed when it is gone, and status says so of its batch", async () => {
  const batch = await stageSample(flow);
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  await flow.arrivals();
  const [attempt] = await flow.sql<{ plan: number }[]>`
    select plan_id::integer as plan from table_loader.attempts where batch_id = ${batch.id}`;
  const table = `table_loader_staging.p${attempt?.plan}_0`;
  await flow.sql.unsafe(`create unlogged table ${table} (a text)`);
  const worker = await flow.sql.reserve();
  await worker.unsafe(`begin; lock table ${table} in row exclusive mode`);
  expect((await sweepOnce(flow)).healed).toEqual({});
  await worker`rollback`;
  worker.release();
  expect((await sweepOnce(flow)).healed).toEqual({ ORPHANED_STAGING: 1 });
  await expectNothingToHeal(flow);
  const { status } = (await flow.invoke("operate", { operation: "status", batchId: batch.id })) as {
    status: BatchStatus;
  };
  expect(status.healings).toMatchObject([{ kind: "ORPHANED_STAGING" }]);
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

test("E06 an event that is lost: loaded by the next sweep, which says so in attempt and healing", async () => {
  const batch = await stageSample(flow);
  const swept = await sweepOnce(flow);
  expect(swept).toMatchObject({ started: [batch.id], healed: { EVENT_MISSED: 1 } });
  expect(swept.runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  expect(await batch.probe()).toEqual(sampleLoaded);
  const attempts = await flow.sql`select source, state from table_loader.attempts where batch_id = ${batch.id}`;
  expect([...attempts]).toEqual([{ source: "sweep", state: "loaded" }]);
  const healings = await flow.sql`select kind, detail from table_loader.healings where batch_id = ${batch.id}`;
  expect([...healings]).toEqual([
    {
      kind: "EVENT_MISSED",
      detail: `2 objects in staging had started nothing, the first is ${batch.key("blood.json")}`,
    },
  ]);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a late approval is no lost event", async () => {
  const batch = await stageSample(flow, { approved: false });
  await flow.arrivals();
  await flow.approve(batch.id);
  expect(await sweepOnce(flow)).toMatchObject({ started: [batch.id] });
  expect([...(await flow.sql`select kind from table_loader.healings where batch_id = ${batch.id}`)]).toEqual([]);
  await expectInvariants(flow);
});

/** Sweeps with a clock of its own, whose time is up as soon as so many batches were started. */
async function sweepFor(starts: number): Promise<readonly string[]> {
  const { ports, close } = await openStarter();
  let left = starts;
  const start: typeof ports.executions.start = async (...call) => {
    left -= 1;
    return ports.executions.start(...call);
  };
  const clock = { now: () => (left > 0 ? 0 : 200_000), executions: { ...ports.executions, start } };
  const { started } = await sweep({ ...ports, ...clock }, {}, 240_000).finally(close);
  await settleAll();
  return started;
}

async function settleAll(): Promise<void> {
  await Promise.all(flow.machine.list().map(({ arn }) => flow.machine.settle(arn)));
}

test("time is up: nothing new is begun, what is broken came first, and the next sweep goes on from there", async () => {
  const batches = await Promise.all([1, 2, 3].map(() => stageSample(flow)));
  const ids = batches.map(({ id }) => id).sort();
  const broken = await stageSample(flow);
  await crashAt(flow, broken, "mid-copy");
  buryTheDead();
  await expireLease(flow, broken);
  expect(await sweepFor(1)).toEqual([broken.id]);
  expect(await sweepFor(0)).toEqual([]);
  expect(await sweepFor(1)).toEqual([ids[0]]);
  const [cursor] = await flow.sql`select position from table_loader.cursors where name = 'staging'`;
  expect(cursor?.position).toBe(ids[0]);
  expect(await sweepFor(9)).toEqual(ids.slice(1));
  await expectNothingToHeal(flow);
  for (const batch of [...batches, broken]) expect(await batch.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("very many batches with strays do not keep those in staging from their turn", async () => {
  const batch = await stageSample(flow);
  const { ports, close } = await openStarter();
  const names = Array.from({ length: 300 }, (_, index) => `batch_20270101_${String(index).padStart(6, "0")}`);
  const uncommitted: typeof ports.uncommitted = {
    ...ports.uncommitted,
    batches: async (after, limit) => names.filter((name) => name > after).slice(0, limit),
  };
  // each of them takes a second
  let now = 0;
  const heldBatches: typeof ports.heldBatches = {
    ...ports.heldBatches,
    inLedger: (batchId) => {
      now += 1_000;
      return ports.heldBatches.inLedger(batchId);
    },
  };
  const { started } = await sweep({ ...ports, uncommitted, heldBatches, now: () => now }, {}, 240_000).finally(close);
  expect(started).toEqual([batch.id]);
  await settleAll();
  await flow.sql`delete from table_loader.cursors where name = 'strays'`;
  await flow.arrivals();
  await expectInvariants(flow);
});

test("from where the last sweep stopped to the end, and then from the beginning to there", async () => {
  const batches = await Promise.all([1, 2, 3].map(() => stageSample(flow)));
  const [first, second, third] = batches.map(({ id }) => id).sort() as [string, string, string];
  await flow.sql`
    insert into table_loader.cursors (name, position) values ('staging', ${first})
    on conflict (name) do update set position = excluded.position`;
  expect(await sweepFor(9)).toEqual([second, third, first]);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a batch that cannot be looked at keeps no other one back, and its fault is told", async () => {
  const [bad, good] = (await Promise.all([stageSample(flow), stageSample(flow)])).sort((a, b) =>
    a.id < b.id ? -1 : 1,
  );
  const { ports, close } = await openStarter();
  const records: typeof ports.records = {
    ...ports.records,
    queue: (batchId) => (batchId === bad?.id ? Promise.reject(new Error("no")) : ports.records.queue(batchId)),
  };
  await expect(sweep({ ...ports, records }, {}, Date.now() + 240_000)).rejects.toThrow("no");
  await close();
  await settleAll();
  expect(await good?.probe()).toEqual(sampleLoaded);
  expect((await sweepOnce(flow)).started).toContain(bad?.id);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a lease that has ended is taken over, although Step Functions cannot say what became of its execution", async () => {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "mid-copy");
  buryTheDead();
  await expireLease(flow, batch);
  const { ports, close } = await openStarter();
  const find = () => Promise.reject(new Error("no answer"));
  const unheard = { ...ports, executions: { ...ports.executions, find } };
  await expect(sweep(unheard, {}, Date.now() + 240_000)).rejects.toThrow("no answer");
  await close();
  await settleAll();
  expect(await batch.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("the archive is walked a bounded way, from where the last sweep stopped", async () => {
  const { ports, close } = await openStarter();
  const asked: string[] = [];
  const pages: Readonly<Record<string, readonly string[]>> = { "": ["loaded/a/1"], "loaded/a/1": ["loaded/b/1"] };
  const keys: typeof ports.store.keys = async (_prefix, after) => {
    asked.push(after);
    return pages[after] ?? [`${after}0`];
  };
  const walk = () => sweep({ ...ports, store: { ...ports.store, keys } }, {}, Date.now() + 240_000);
  await flow.sql`delete from table_loader.cursors where name = 'archive'`;
  await walk();
  await walk();
  await close();
  expect(asked).toHaveLength(10);
  expect(asked.slice(0, 3)).toEqual(["", "loaded/a/1", "loaded/b/1"]);
  expect(new Set(asked).size).toBe(10);
  await flow.sql`delete from table_loader.cursors where name = 'archive'`;
});
