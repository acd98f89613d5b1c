import { createServer } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { overrideEnvironment, settings } from "../../lib/config.ts";
import type { ListedObject } from "../../lib/core/objects.ts";
import { validateBatch } from "../../lib/steps/validate-batch.ts";
import { onCrashPoint, openLoader } from "../../lib/wiring.ts";
import { newBatch, nothingLoaded, outcomesOf, sampleLoaded, stageSample, type TestBatch } from "../support/batches.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods } from "../support/records.ts";

let flow: Flow;
let machineEndpoint: string;
beforeAll(async () => {
  flow = await openFlow();
  machineEndpoint = settings().localMachineEndpoint ?? "";
});
afterEach(() => {
  overrideEnvironment({ LOCAL_MACHINE_ENDPOINT: machineEndpoint });
  onCrashPoint(() => undefined);
});
afterAll(() => flow.close());

type Answer = { readonly batchItemFailures: readonly { readonly itemIdentifier: string }[] };

/** The batch's own events, as SQS hands them over. */
async function deliver(batch: TestBatch): Promise<Answer> {
  const events = flow.bucket.events.filter(({ detail }) => detail.object.key.startsWith(batch.key("")));
  const Records = events.map((event, index) => ({ messageId: `m-${index}`, body: JSON.stringify(event) }));
  return (await flow.invoke("start-load", { Records })) as Answer;
}

async function openThrottling() {
  let calls = 0;
  const server = createServer((_, response) => {
    calls += 1;
    const headers = { "content-type": "application/x-amz-json-1.0" };
    response.writeHead(400, headers).end(JSON.stringify({ __type: "ThrottlingException", message: "Rate exceeded" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { endpoint: `http://127.0.0.1:${port}`, calls: () => calls, close: () => server.close() };
}

describe("E07: an execution cannot be started", () => {
  async function expectGivenBack(batch: TestBatch): Promise<void> {
    expect(await deliver(batch)).toEqual({ batchItemFailures: [{ itemIdentifier: "m-0" }, { itemIdentifier: "m-1" }] });
    expect(await batch.probe()).toEqual(nothingLoaded);
  }

  /** What comes back from the queue, and again from its dead letters when somebody redrives them. */
  async function expectRedriven(batch: TestBatch): Promise<void> {
    overrideEnvironment({ LOCAL_MACHINE_ENDPOINT: machineEndpoint });
    for (const _ of ["come back", "redriven"]) {
      expect(await deliver(batch)).toEqual({ batchItemFailures: [] });
      await Promise.all(flow.machine.list().map(({ arn }) => flow.machine.settle(arn)));
    }
    expect(await batch.probe()).toEqual(sampleLoaded);
    const commits =
      await flow.sql`select count(*)::integer as tables from table_loader.commits where batch_id = ${batch.id}`;
    expect([...commits]).toEqual([{ tables: 2 }]);
    await flow.arrivals();
    await expectInvariants(flow);
  }

  test("Step Functions throttles: the messages come back, and load exactly once", { timeout: 30_000 }, async () => {
    const batch = await stageSample(flow);
    const throttling = await openThrottling();
    overrideEnvironment({ LOCAL_MACHINE_ENDPOINT: throttling.endpoint });
    await expectGivenBack(batch);
    throttling.close();
    expect(throttling.calls()).toBeGreaterThan(1);
    await expectRedriven(batch);
  });

  test("Step Functions is away: the same", { timeout: 30_000 }, async () => {
    const batch = await stageSample(flow);
    overrideEnvironment({ LOCAL_MACHINE_ENDPOINT: "http://127.0.0.1:1" });
    await expectGivenBack(batch);
    await expectRedriven(batch);
  });
});

test("E12: 20,000 fragments are planned, and what travels between the states does not grow with them", async () => {
  const batch = newBatch(flow);
  const count = 20_000;
  await flow.queueRow({ batchId: batch.id, table: "blood", approved: true });
  const listed = (file: string): ListedObject => {
    const object = { key: batch.key(`blood/${file}`), versionId: null, etag: `"${file}"`, size: 1_000, isLatest: true };
    return { ...object, lastModified: new Date(0) };
  };
  async function* list(prefix: string): AsyncGenerator<ListedObject> {
    if (!prefix.startsWith(batch.key(""))) return;
    yield listed("_SUCCESS");
    for (let part = 0; part < count; part += 1) yield listed(`part-${part}.json`);
  }
  const loader = await openLoader();
  try {
    const ports = { ...loader.ports, store: { ...loader.ports.store, list } };
    const answer = await validateBatch(ports, { input: { batchId: batch.id }, execution: "e12", rounds: 0 });
    expect(answer).toMatchObject({ next: "stage", batchId: batch.id });
    // every state's payload is this, and a worker's number; a Map over items would need 20,000 of them
    expect(JSON.stringify(answer).length).toBeLessThan(1_000);
    const [items] = await flow.sql`
      select count(*)::integer as items from table_loader.work_items where plan_id = ${answer.planId} and kind = 'fragment'`;
    expect(items).toEqual({ items: count });
  } finally {
    await loader.close();
  }
});

test("S09: without versions an object is known by its ETag and size: a rewrite is found out, and nothing is mixed", async () => {
  expect(settings().bucketVersioning).toBe(false);
  const batch = await stageSample(flow);
  onCrashPoint(async (point) => {
    if (point === "after-plan") await batch.drop("blood.json", bloods(`${batch.prefix}-rewritten`, 3));
  });
  const run = await flow.run({ batchId: batch.id });
  expect(run).toMatchObject({ status: "FAILED", error: "S3_CHANGED" });
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(flow.objects(batch.key(""))).toEqual([batch.key("blood.json")]);
  expect(await outcomesOf(flow, batch)).toEqual([]);
});
