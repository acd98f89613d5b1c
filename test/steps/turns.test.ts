import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openLoader } from "../../lib/wiring.ts";
import { sampleLoaded, stageSample } from "../support/batches.ts";
import { sweepOnce, waitForLock } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";

let flow: Flow;
let loader: Awaited<ReturnType<typeof openLoader>>;
beforeAll(async () => {
  flow = await openFlow({
    variables: { MAX_LOADS: "2", MAX_WORKERS: "6" },
    pauses: { waitMilliseconds: 200, retryMilliseconds: 0 },
  });
  loader = await openLoader();
});
afterAll(async () => {
  await loader.close();
  await flow.close();
});
afterEach(() => flow.sql`delete from table_loader.line`);

const at = (minute: number): Date => new Date(Date.UTC(2026, 0, 1, 12, minute));

type Asking = Omit<Parameters<typeof loader.ports.turns.enter>[0], "fence">;

/** Under the claim that is the current one, whoever has it. */
async function enter(asking: Asking) {
  const { batchId } = asking;
  await flow.sql`insert into table_loader.batches (batch_id) values (${batchId}) on conflict do nothing`;
  const [batch] = await flow.sql<{ fence: number }[]>`
    select fence::integer from table_loader.batches where batch_id = ${batchId}`;
  return loader.ports.turns.enter({ ...asking, fence: batch?.fence ?? 0 });
}

/** A batch that asks for its turn; `minute` is when it was approved. */
const ask = (batchId: string, minute: number, wanted = 1) =>
  enter({ batchId, owner: `execution of ${batchId}`, approvedAt: at(minute), wanted });

/** Asks until no session of another test file waits for a lock: on the server that they share, that halves the workers. */
const askUndisturbed = (batchId: string, minute: number, { wanted, workers }: { wanted: number; workers: number }) =>
  until(async () => {
    const turn = await ask(batchId, minute, wanted);
    expect(turn).toMatchObject({ turn: "now" });
    if ("workers" in turn && turn.workers === workers) return true;
    await leave(batchId);
    return false;
  });

/** As if everybody had stood in line for a minute. */
const settle = () => flow.sql`update table_loader.line set joined_at = joined_at - interval '1 minute'`;

/** What an execution does when it asks. */
const validating =
  (batchId: string, execution: string, { source = "arrival" } = {}) =>
  () =>
    flow.invoke("validate-batch", { input: { batchId, source }, execution });

const leave = (...batchIds: string[]) =>
  flow.sql`delete from table_loader.line where batch_id in ${flow.sql(batchIds)}`;

test("turns go by the time of the approval, not of the question", async () => {
  expect(await ask("first", 1)).toMatchObject({ turn: "now" });
  expect(await ask("second", 2)).toMatchObject({ turn: "now" });
  expect(await ask("late", 9)).toMatchObject({ turn: "later", ahead: 0 });
  expect(await ask("early", 3)).toMatchObject({ turn: "later", ahead: 0 });
  expect(await ask("late", 9)).toMatchObject({ turn: "later", ahead: 1 });
  await settle();
  await leave("first");
  expect(await ask("late", 9)).toMatchObject({ turn: "later", ahead: 1 });
  expect(await ask("early", 3)).toMatchObject({ turn: "now" });
  await leave("second");
  expect(await ask("late", 9)).toMatchObject({ turn: "now" });
  await leave("early", "late");
});

test("workers are shared with those who may begin, too, and all loads stay within the cap", async () => {
  await askUndisturbed("one", 1, { wanted: 8, workers: 6 });
  expect(await ask("two", 2, 8)).toMatchObject({ turn: "later" });
  await leave("one", "two");
});

test("an execution that does not ask again loses its place; another one of the same batch does not get a second", async () => {
  expect(await ask("a", 1)).toMatchObject({ turn: "now" });
  expect(await ask("b", 2)).toMatchObject({ turn: "now" });
  expect(await ask("gone", 3)).toMatchObject({ turn: "later" });
  expect(await ask("c", 4)).toMatchObject({ turn: "later", ahead: 1 });
  const other = { batchId: "gone", owner: "another execution", approvedAt: at(3), wanted: 1 };
  expect(await enter(other)).toEqual({ turn: "elsewhere" });
  await flow.sql`update table_loader.line set expires_at = now() - interval '1 second' where batch_id in ('gone', 'a')`;
  expect(await ask("c", 4)).toMatchObject({ turn: "now" });
  expect(await enter(other)).toMatchObject({ turn: "later" });
  await leave("b", "c", "gone");
});

test("a batch that waits in line is shown as waiting, is not started by the sweep, and loads when its turn comes", async () => {
  expect(await ask("x", 1)).toMatchObject({ turn: "now" });
  expect(await ask("y", 2)).toMatchObject({ turn: "now" });
  const batch = await stageSample(flow);
  const { arn } = flow.machine.start(`${batch.id}-waits`, JSON.stringify({ batchId: batch.id }));
  // while it asks, the batch is claimed for a moment
  await until(async () => {
    const { status } = (await flow.invoke("operate", { operation: "status", batchId: batch.id })) as StatusAnswer;
    return status.health === "WAITING" && status.reason_code === "IN_LINE";
  });
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  expect((await flow.arrivals()).runs).toMatchObject([{ status: "SUCCEEDED", output: { next: "busy" } }]);
  await leave("x", "y");
  expect(await flow.machine.settle(arn)).toMatchObject({ status: "SUCCEEDED" });
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await flow.sql`select from table_loader.line`).toHaveLength(0);
  await expectInvariants(flow);
});

test("an execution that has waited for half a day ends green, and the sweep's one goes on in the same order", async () => {
  expect(await ask("m", 1)).toMatchObject({ turn: "now" });
  expect(await ask("n", 2)).toMatchObject({ turn: "now" });
  expect(await ask("old", 3)).toMatchObject({ turn: "later" });
  await flow.sql`update table_loader.line set joined_at = now() - interval '13 hours' where batch_id = 'old'`;
  expect(await ask("old", 3)).toEqual({ turn: "expired", ahead: 0 });
  const next = { batchId: "old", owner: "the next execution", approvedAt: at(3), wanted: 1 };
  expect(await enter(next)).toMatchObject({ turn: "later", ahead: 0 });
  await leave("m", "n", "old");
});

test.each([
  { source: "arrival", next: "wait" },
  // the sweep would not know what was asked for
  { source: "manual", next: "refused" },
])("a start by $source that has waited for half a day ends as $next", async ({ source, next }) => {
  expect(await ask("k", 1)).toMatchObject({ turn: "now" });
  expect(await ask("l", 2)).toMatchObject({ turn: "now" });
  const batch = await stageSample(flow);
  const validate = validating(batch.id, `arn:${source}`, { source });
  expect(await validate()).toMatchObject({ next: "later", code: "IN_LINE" });
  await flow.sql`update table_loader.line set joined_at = now() - interval '13 hours' where batch_id = ${batch.id}`;
  expect(await validate()).toMatchObject({ next, code: "IN_LINE" });
  await leave("k", "l");
  await flow.arrivals();
  expect(await batch.probe()).toEqual(sampleLoaded);
});

test("a batch that is not ready any more gives up its place: whoever starts it again need not wait for that to expire", async () => {
  expect(await ask("o", 1)).toMatchObject({ turn: "now" });
  expect(await ask("p", 2)).toMatchObject({ turn: "now" });
  const batch = await stageSample(flow);
  const validate = validating(batch.id, "arn:before");
  expect(await validate()).toMatchObject({ next: "later" });
  await flow.sql`update validation_queue set approved_for_load = false where batch_id = ${batch.id}`;
  expect(await validate()).toMatchObject({ next: "wait", code: "NOT_APPROVED" });
  expect(await flow.sql`select from table_loader.line where batch_id = ${batch.id}`).toHaveLength(0);
  await leave("o", "p");
  await flow.approve(batch.id);
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ output: { status: "success" } });
  await flow.arrivals();
});

test("a load that is blocked keeps no other one from its turn", async () => {
  const blocked = [await stageSample(flow), await stageSample(flow)];
  for (const { id } of blocked) expect(await validating(id, `arn:${id}`)()).toMatchObject({ next: "stage" });
  expect(await ask("q", 1)).toMatchObject({ turn: "later" });
  const fault = { code: "DB_PERMISSION", message: "not allowed" };
  for (const { id } of blocked) await loader.ports.claims.noteBlocked(`arn:${id}`, fault);
  expect(await ask("q", 1)).toMatchObject({ turn: "later" });
  await flow.sql`update table_loader.batches set updated_at = now() - interval '61 seconds'`;
  await askUndisturbed("q", 1, { wanted: 6, workers: 6 });
  expect(await validating(blocked[0]?.id ?? "", `arn:${blocked[0]?.id}`)()).toMatchObject({ next: "stage" });
  expect(await ask("r", 2)).toMatchObject({ turn: "later" });
  await leave("q", "r");
  await flow.sql`update table_loader.batches set lease_until = now()`;
  await flow.arrivals();
  for (const batch of blocked) expect(await batch.probe()).toEqual(sampleLoaded);
});

test("sessions that wait for an advisory lock, as for their turn, do not make a load smaller", async () => {
  const held = await flow.sql.reserve();
  await held`select pg_advisory_lock(1)`;
  const waiting = flow.sql`select pg_advisory_xact_lock(1)`.execute();
  await waitForLock(flow);
  await askUndisturbed("s", 1, { wanted: 6, workers: 6 });
  await held`select pg_advisory_unlock(1)`;
  held.release();
  await waiting;
  await leave("s");
});

test("an execution that died between its turn and its plan leaves its place to the next one of the batch", async () => {
  const asked = { batchId: "w", approvedAt: at(1), wanted: 1 };
  expect(await enter({ ...asked, owner: "dead" })).toMatchObject({ turn: "now" });
  expect(await enter({ ...asked, owner: "next" })).toMatchObject({ turn: "now" });
  expect(await loader.ports.turns.waits("w", "dead")).toBe(false);
  await leave("w");
});

test("an execution that was overtaken while it asked does not stand in line when the load has begun", async () => {
  const batch = await stageSample(flow);
  const claim = await loader.ports.claims.claim({ batchId: batch.id, owner: "late", source: "arrival" });
  await flow.sql`update table_loader.batches set lease_until = now() - interval '1 second' where batch_id = ${batch.id}`;
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  const asked = { batchId: batch.id, fence: claim?.fence ?? 0, owner: "late", approvedAt: at(1), wanted: 1 };
  await expect(loader.ports.turns.enter(asked)).rejects.toMatchObject({ name: "StaleFence" });
  expect(await flow.sql`select from table_loader.line`).toHaveLength(0);
});

test("an execution in line that finds its batch claimed for a moment stays in line", async () => {
  expect(await ask("u", 1)).toMatchObject({ turn: "now" });
  expect(await ask("v", 2)).toMatchObject({ turn: "now" });
  const batch = await stageSample(flow);
  const validate = validating(batch.id, "arn:waits");
  expect(await validate()).toMatchObject({ next: "later", code: "IN_LINE" });
  await loader.ports.claims.claim({ batchId: batch.id, owner: "arn:other", source: "arrival" });
  expect(await validate()).toMatchObject({ next: "later", code: "IN_LINE" });
  await flow.sql`update table_loader.batches set owner = null, lease_until = null where batch_id = ${batch.id}`;
  const other = await flow.run({ batchId: batch.id, source: "arrival" });
  expect(other).toMatchObject({ status: "SUCCEEDED", output: { next: "busy" } });
  await leave("u", "v", batch.id);
  await flow.arrivals();
  expect(await batch.probe()).toEqual(sampleLoaded);
});

type StatusAnswer = { readonly status: { readonly health: string; readonly reason_code: string | null } };

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}
