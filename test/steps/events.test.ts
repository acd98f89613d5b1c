import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { onCrashPoint } from "../../lib/wiring.ts";
import {
  ledgerOf,
  newBatch,
  nothingLoaded,
  outcomesOf,
  queueOf,
  removeObject,
  sampleLoaded,
  stageBroken,
  stageSample,
} from "../support/batches.ts";
import { sweepOnce } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, specimens, subjects } from "../support/records.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(() => flow.close());

const messageOf = (event: unknown, messageId = "m-1") => ({ messageId, body: JSON.stringify(event) });
const startLoad = (...events: unknown[]) =>
  flow.invoke("start-load", { Records: events.map((event, index) => messageOf(event, `m-${index}`)) });
const executions = (): number => flow.machine.list().length;

async function settleAll(): Promise<string[]> {
  const records = await Promise.all(flow.machine.list().map(({ arn }) => flow.machine.settle(arn)));
  return records.map(({ status }) => status);
}

test("E01 the same event again after LOADED: skipped, counted, no row touched, green", async () => {
  const batch = await stageSample(flow);
  const { runs } = await flow.arrivals();
  expect(runs).toMatchObject([{ status: "SUCCEEDED", output: { status: "success" } }]);
  const [before] =
    await flow.sql`select xmin, updated_at from subject where global_subject_id = ${`${batch.prefix}-1`}`;
  const started = executions();
  const send = vi.spyOn(S3Client.prototype, "send");
  await startLoad(...flow.bucket.events.filter(({ detail }) => detail.object.key.startsWith(batch.key(""))));
  expect(executions()).toBe(started);
  // start-load knew the name; another window of events makes another name, and ValidateBatch skips.
  for (let time = 1; time <= 2; time += 1) {
    const { status, output } = await flow.run({ batchId: batch.id, source: "arrival" });
    expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { code: "EVT_DUPLICATE" } });
  }
  const commands = send.mock.calls.map(([command]) => command);
  expect(commands.length).toBeGreaterThan(0);
  expect(commands.filter((command) => command instanceof GetObjectCommand)).toEqual([]);
  expect(await outcomesOf(flow, batch)).toEqual([{ code: "EVT_DUPLICATE", source: "arrival", times: 2 }]);
  const [after] = await flow.sql`select xmin, updated_at from subject where global_subject_id = ${`${batch.prefix}-1`}`;
  expect(after).toEqual(before);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("E02 ten events of one version at once: one load, nothing twice", async () => {
  const batch = await stageSample(flow);
  const sent = flow.bucket.events.filter(({ detail }) => detail.object.key.includes(batch.id));
  const before = executions();
  const events = sent.flatMap((event) =>
    Array.from({ length: 10 }, (_, id) => ({ ...event, id: `${event.id}-${id}` })),
  );
  await Promise.all(events.map((event) => startLoad(event)));
  await flow.arrivals();
  expect(new Set(await settleAll())).toEqual(new Set(["SUCCEEDED"]));
  // one for either object, and one for both of them together
  expect(executions() - before).toBe(3);
  const loads = await flow.sql`select from table_loader.attempts where batch_id = ${batch.id} and state = 'loaded'`;
  expect(loads).toHaveLength(1);
  const skipped = (await outcomesOf(flow, batch)).reduce((sum, { times }) => sum + times, 0);
  expect(skipped).toBe(2);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await expectInvariants(flow);
});

test("E05 what the loader itself writes into loaded/ and failed/ starts nothing, and is not read", async () => {
  const good = await stageSample(flow);
  const broken = await stageBroken(flow);
  expect((await flow.arrivals()).runs.map(({ status }) => status).toSorted()).toEqual(["FAILED", "SUCCEEDED"]);
  const own = flow.bucket.events.filter(({ detail: { object } }) =>
    [`loaded/${good.id}/`, `failed/${broken.id}/`].some((folder) => object.key.startsWith(folder)),
  );
  expect(own.map(({ detail }) => detail.object.key).toSorted()).toEqual(
    [...flow.objects(`failed/${broken.id}/`), ...flow.objects(`loaded/${good.id}/`)].toSorted(),
  );
  const before = executions();
  const send = vi.spyOn(S3Client.prototype, "send");
  expect(await startLoad(...own)).toEqual({ batchItemFailures: [] });
  expect(executions()).toBe(before);
  expect(send).not.toHaveBeenCalled();
  await expectInvariants(flow);
});

test("E05 the loader's own objects, folders and foreign files start nothing", async () => {
  const before = executions();
  const batch = newBatch(flow);
  await batch.drop("", "");
  await batch.drop("notes.txt", "hello");
  await batch.drop("blood/deeper/part.json", []);
  await flow.put(`loaded/${batch.id}/blood.json`, []);
  await flow.put("staging/validated/not-a-batch/blood.json", []);
  expect(await flow.arrivals()).toMatchObject({ failed: 0, runs: [] });
  expect(executions()).toBe(before);
  await removeObject(flow, `loaded/${batch.id}/blood.json`);
});

test("E06 an event is lost: the sweep loads the batch, source sweep in its attempt", async () => {
  const batch = await stageSample(flow);
  expect(await sweepOnce(flow)).toMatchObject({ ran: true, started: [batch.id], runs: [{ status: "SUCCEEDED" }] });
  expect(await batch.probe()).toEqual(sampleLoaded);
  const attempts = await flow.sql`select source, state from table_loader.attempts where batch_id = ${batch.id}`;
  expect([...attempts]).toEqual([{ source: "sweep", state: "loaded" }]);
  expect(await sweepOnce(flow)).toMatchObject({ started: [] });
  await flow.arrivals();
  await expectInvariants(flow);
});

test("E08 a name that is taken: a running or finished execution is a duplicate, an aborted one starts anew", async () => {
  const batch = await stageSample(flow);
  const events = flow.bucket.events.filter(({ detail }) => detail.object.key.includes(batch.id));
  const before = executions();
  const held = Promise.withResolvers<void>();
  onCrashPoint((point) => (point === "before-claim" ? held.promise : undefined));
  await startLoad(...events);
  await startLoad(...events);
  expect(executions() - before).toBe(1);
  const [first] = flow.machine.list().slice(-1);
  await flow.machine.stop(first?.arn ?? "");
  onCrashPoint(() => undefined);
  held.reject(new Error("aborted"));
  expect(await batch.probe()).toEqual(nothingLoaded);
  await startLoad(...events);
  await settleAll();
  expect(executions() - before).toBe(2);
  expect(flow.machine.list().at(-1)?.name).toBe(`${first?.name}-2`);
  expect(await batch.probe()).toEqual(sampleLoaded);
  await startLoad(...events);
  expect(executions() - before).toBe(2);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("E10 malformed and foreign events go to the dead letters at once, the others of the message batch go on", async () => {
  const batch = await stageSample(flow);
  const [event] = flow.bucket.events.filter(({ detail }) => detail.object.key === batch.key("subject.json"));
  const foreign = { ...event, detail: { ...event?.detail, bucket: { name: "somebody-elses" } } };
  const before = executions();
  const answer = await startLoad({ hello: "world" }, foreign, event);
  expect(answer).toEqual({ batchItemFailures: [] });
  expect(executions() - before).toBe(1);
  await settleAll();
  expect(await batch.probe()).toEqual(sampleLoaded);
  const received = await flow.bucket.sqs("ReceiveMessage", {
    QueueUrl: flow.bucket.deadLetters.url,
    MaxNumberOfMessages: 10,
    MessageAttributeNames: ["All"],
  });
  const letters = (received as { Messages?: { Body: string }[] }).Messages ?? [];
  expect(letters.map(({ Body }) => JSON.parse(Body))).toEqual([{ hello: "world" }, foreign]);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a table that arrives while the batch is being archived is loaded by the same execution", async () => {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  await batch.drop("subject.json", subjects(batch.prefix, 2));
  let dropped = false;
  onCrashPoint(async (point) => {
    if (point !== "after-commit" || dropped) return;
    dropped = true;
    await flow.queueRow({ batchId: batch.id, table: "specimen", approved: true });
    await batch.drop("specimen.json", specimens(batch.prefix, 2));
    const { output } = await flow.run({ batchId: batch.id, source: "arrival" });
    expect(output).toMatchObject({ code: "BATCH_BUSY" });
  });
  // tables: what was asked for by hand does not bind what a wake brings
  const { status, states } = await flow.run({ batchId: batch.id, tables: ["subject"] });
  onCrashPoint(() => undefined);
  expect(status).toBe("SUCCEEDED");
  expect(states.filter((state) => state === "CommitBatch")).toHaveLength(2);
  expect(await queueOf(flow, batch)).toEqual({ subject: "loaded", specimen: "loaded" });
  const [{ stored } = { stored: 0 }] = await flow.sql`
    select count(*)::integer as stored from specimen where sample_id like ${`${batch.prefix}-%`}`;
  expect(stored).toBe(2);
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded", attempt: 2 });
  await flow.arrivals();
  await expectInvariants(flow);
});

test("what arrives unasked while a manual load runs does not make a failure of it", async () => {
  const batch = await stageSample(flow);
  let dropped = false;
  onCrashPoint(async (point) => {
    if (point !== "after-commit" || dropped) return;
    dropped = true;
    await batch.drop("stool/part-1.json", bloods(batch.prefix, 1));
    await flow.run({ batchId: batch.id, source: "arrival" });
  });
  const { status, output } = await flow.run({ batchId: batch.id });
  onCrashPoint(() => undefined);
  expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { status: "success", records_read: 6 } });
  expect(await ledgerOf(flow, batch)).toMatchObject({ state: "loaded" });
  expect(await batch.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
});
