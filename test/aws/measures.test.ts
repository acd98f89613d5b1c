import type { Context } from "aws-lambda";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { forceMetrics, setMetricsEnabled } from "../../lib/aws/measures.ts";
import { type Task, taskHandler } from "../../lib/aws/task-handler.ts";
import { setLogLevel } from "../../lib/aws/telemetry.ts";
import { BlockedError, type LoaderError, PermanentError, StaleFence, TransientError } from "../../lib/core/errors.ts";
import { captureLines } from "./support/captured-output.ts";

/** What an invocation measures, as the lines of CloudWatch's embedded format on stdout. */

const memory = { memoryLimitInMB: "100000" };
const context = { functionName: "f", awsRequestId: "r", getRemainingTimeInMillis: () => 60_000, ...memory } as Context;
const event = { run: { batchId: "batch_1" }, execution: "exec-1", worker: 2 };

type TestTask = Task<unknown, unknown, null>;

const handlerOf = (changes: Partial<TestTask>) =>
  taskHandler<unknown, unknown, null>({
    name: "StageFragments",
    request: z.unknown(),
    open: async () => ({ ports: null, close: async () => undefined }),
    step: async () => null,
    ...changes,
  });

const throwing = (error: LoaderError): Partial<TestTask> => ({ step: () => Promise.reject(error) });

async function linesOf(changes: Partial<TestTask>, given: object = event) {
  const lines = await captureLines(() => handlerOf(changes)(given, context).catch(() => undefined));
  return lines.filter((line) => "_aws" in line);
}

/** Name and value of each metric. */
async function measured(changes: Partial<TestTask>, given?: object): Promise<Record<string, unknown>> {
  return Object.assign({}, ...(await linesOf(changes, given))) as Record<string, unknown>;
}

beforeEach(() => setLogLevel("SILENT"));
afterEach(() => {
  setLogLevel("INFO");
  setMetricsEnabled(true);
  forceMetrics(false);
});

describe("every invocation", () => {
  test("says how long it took and what memory it held, by service and by task", async () => {
    const [share, own] = await linesOf({ name: "Sweep" });
    expect(share).toMatchObject({
      service: "table-loader",
      task: "Sweep",
      MemoryUsed: expect.any(Number),
      _aws: { CloudWatchMetrics: [{ Namespace: "TableLoader", Dimensions: [["service"]] }] },
    });
    expect(own).toMatchObject({
      service: "table-loader",
      task: "Sweep",
      TaskSeconds: expect.any(Number),
      MemoryMegabytes: expect.any(Number),
      _aws: { CloudWatchMetrics: [{ Dimensions: [["service", "task"]] }] },
    });
    const { MemoryMegabytes } = own as { MemoryMegabytes: number };
    expect(share?.["MemoryUsed"]).toBeCloseTo(MemoryMegabytes / 1000, 0);
  });

  test("is a cold start once in a process", async () => {
    const starts = [await measured({ name: "Migrate" }), await measured({ name: "Migrate" })];
    expect(starts.map(({ ColdStarts }) => ColdStarts)).toEqual([1, undefined]);
  });

  test("is measured when it fails, too", async () => {
    const failed = await measured(throwing(new PermanentError("BATCH_EMPTY", "no fragment")));
    expect(failed).toMatchObject({ TaskSeconds: expect.any(Number), MemoryUsed: expect.any(Number) });
    for (const name of ["Retries", "BlockedLoads", "ConnectionsUsed"]) expect(failed).not.toHaveProperty(name);
  });

  test("writes nothing where metrics are off, unless they are forced", async () => {
    setMetricsEnabled(false);
    expect(await linesOf({})).toEqual([]);
    forceMetrics(true);
    expect(await linesOf({})).not.toEqual([]);
  });
});

describe("a fault", () => {
  const away = new TransientError("DB_UNAVAILABLE", "nobody answers");
  const full = new TransientError("DB_TOO_MANY_CONNECTIONS", "no free connection");
  const blocked = new BlockedError("DB_DISK_FULL", "no room");
  const contracts = new BlockedError("CONTRACT_INVALID", "no contracts");

  test.each([
    ["passes", throwing(away), event, { Retries: 1 }],
    ["passes, and was waited for", throwing(away), { ...event, rounds: 1 }, { Retries: 1, BlockedLoads: 1 }],
    ["blocks", throwing(blocked), event, { BlockedLoads: 1 }],
    ["blocks, but no load", { ...throwing(blocked), name: "Operate" }, event, {}],
    ["is a full server", throwing(full), event, { Retries: 1, ConnectionsUsed: 100 }],
    ["is of contracts", throwing(contracts), event, { BlockedLoads: 1, ContractsInvalid: 1 }],
    ["is somebody else's business", throwing(new StaleFence("batch_1", 3)), event, {}],
  ] as const)("that %s is counted", async (_, changes, given, expected) => {
    const measures = await measured(changes, given);
    const names = ["Retries", "BlockedLoads", "ConnectionsUsed", "ContractsInvalid"];
    expect(Object.fromEntries(Object.entries(measures).filter(([name]) => names.includes(name)))).toEqual(expected);
  });

  test("carries the ids by which its invocation is found in the log, as no dimension", async () => {
    const lines = await linesOf(throwing(blocked));
    expect(lines.find((line) => "BlockedLoads" in line)).toMatchObject({
      batchId: "batch_1",
      execution: "exec-1",
      worker: "2",
      task: "StageFragments",
      _aws: { CloudWatchMetrics: [{ Dimensions: [["service"]], Metrics: [{ Name: "BlockedLoads", Unit: "Count" }] }] },
    });
  });
});
