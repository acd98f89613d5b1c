import { contractsKey } from "../../lib/core/keys.ts";
import { type LoadFunction, loadFunction } from "../../lib/local/lambda.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import { stageBroken, stageSample } from "../support/batches.ts";
import { crashAt, expireLease, sweepOnce } from "../support/crash.ts";
import type { Flow } from "../support/flow.ts";
import { type Point, recordPoints } from "./emf.ts";
import type { Alarm, MetricId } from "./template.ts";

/** Runs of the real machine, healthy ones and ones with a fault, and what each of them measures. */

/** Megabytes that Lambda says it gives to a function; the process of the tests holds about 200. */
export const memory = { megabytes: 100_000 };

export const withMemory: LoadFunction = async (name) => {
  const loaded = await loadFunction(name);
  return {
    ...loaded,
    handler: (event, context) =>
      loaded.handler(event, { ...context, memoryLimitInMB: String(memory.megabytes) } as typeof context),
  };
};

/** A run, and what the services count themselves while it goes on: executions that ended, messages that lie there. */
export async function recordRun(flow: Flow, foreign: readonly MetricId[], work: () => Promise<unknown>) {
  const before = new Set(flow.machine.list().map(({ arn }) => arn));
  const points = await recordPoints(work);
  const ended = flow.machine.list().filter(({ arn }) => !before.has(arn));
  const letters = await messagesIn(flow, flow.bucket.deadLetters.url);
  const count: Readonly<Record<string, number>> = {
    ExecutionsStarted: ended.length,
    ExecutionsSucceeded: ended.filter(({ status }) => status === "SUCCEEDED").length,
    ExecutionsFailed: ended.filter(({ status }) => status === "FAILED").length,
    ExecutionsTimedOut: ended.filter(({ status }) => status === "TIMED_OUT").length,
    ExecutionsAborted: ended.filter(({ status }) => status === "ABORTED").length,
  };
  const own = foreign.map(({ namespace, name, dimensions }): Point => {
    const lie = dimensions["QueueName"]?.startsWith("IntakeDeadLetters") ? letters : 0;
    return { namespace, name, dimensions, unit: "Count", value: count[name] ?? lie, at: Date.now() };
  });
  return [...points, ...own];
}

async function messagesIn({ bucket }: Flow, QueueUrl: string): Promise<number> {
  const ask = { QueueUrl, AttributeNames: ["ApproximateNumberOfMessages"] };
  const { Attributes } = (await bucket.sqs("GetQueueAttributes", ask)) as { Attributes: Record<string, string> };
  return Number(Attributes["ApproximateNumberOfMessages"]);
}

/** A batch arrives and is loaded; another one stays unapproved; one is retried once in the middle; a sweep. */
export async function healthyRun(flow: Flow): Promise<void> {
  await stageSample(flow);
  await stageSample(flow, { approved: false });
  failOnce(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
  await flow.arrivals();
  await flow.invoke("sweep");
  for (const name of ["migrate", "operate"] as const) await flow.invoke(name, { operation: "batches" });
}

/** The first commit throws. */
function failOnce(error: Error): void {
  let times = 0;
  onCrashPoint((point) => {
    if (point !== "before-commit") return;
    times += 1;
    if (times === 1) throw error;
  });
}

const accessDenied = () =>
  Object.assign(new Error("denied"), { name: "AccessDenied", $metadata: { httpStatusCode: 403 } });

async function stall(flow: Flow): Promise<void> {
  const batch = await stageSample(flow);
  await crashAt(flow, batch, "before-commit");
  await flow.sql`update table_loader.batches set updated_at = now() - interval '6 minutes' where batch_id = ${batch.id}`;
  await flow.invoke("sweep");
  await expireLease(flow, batch);
  await sweepOnce(flow);
}

async function breakContracts(flow: Flow): Promise<void> {
  const valid = (await flow.bucket.text(contractsKey)) ?? "";
  await flow.put(contractsKey, "{ this is not JSON");
  await flow.invoke("sweep");
  await flow.put(contractsKey, valid);
}

/** What raises each alarm; that of the connections has a server of its own. */
export const faults: Readonly<Record<string, (flow: Flow) => Promise<unknown>>> = {
  DeadLetters: (flow) => flow.invoke("start-load", { Records: [{ messageId: "m", body: "no event" }] }),
  FailedExecutions: async (flow) => {
    await stageBroken(flow);
    await flow.arrivals();
  },
  FailureRate: async (flow) => {
    await stageBroken(flow);
    await flow.arrivals();
  },
  StalledLoads: stall,
  BlockedLoads: async (flow) => {
    failOnce(accessDenied());
    await stageSample(flow);
    await flow.arrivals();
    const run = { batchId: "b", kind: "rollback", planId: 0, fence: 0, epoch: 1, attempt: 1, runId: "r", workers: [] };
    await flow.invoke("rollback-batch", { run, execution: "e" }).catch(() => undefined);
  },
  InvalidContracts: breakContracts,
  Memory: async (flow) => {
    memory.megabytes = 100;
    await flow.invoke("sweep").finally(() => {
      memory.megabytes = 100_000;
    });
  },
  // Loads go on, and nobody sweeps.
  SilentSweep: async (flow) => {
    await stageSample(flow);
    await flow.arrivals();
  },
};

export const namesOf = (alarms: readonly Alarm[]): string[] => alarms.map(({ name }) => name).toSorted();
