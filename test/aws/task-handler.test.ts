import type { Context } from "aws-lambda";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { setMetricsEnabled } from "../../lib/aws/measures.ts";
import { type Task, taskHandler } from "../../lib/aws/task-handler.ts";
import { openLog, setLogLevel } from "../../lib/aws/telemetry.ts";
import { BlockedError, PermanentError, StaleFence, TransientError } from "../../lib/core/errors.ts";
import { captureLines } from "./support/captured-output.ts";
import { codeOf } from "./support/local-store.ts";

const canary = "canary-secret-4711";
const context = { functionName: "f", awsRequestId: "request-1", getRemainingTimeInMillis: () => 60_000 } as Context;
const run = { batchId: "batch_1", runId: "run-1", planId: 7, fence: 3, epoch: 1, attempt: 2 };
const event = { run, execution: "exec-1", worker: 2 };
const request = z.object({ run: z.object({ batchId: z.string() }) });

type TestTask = Task<z.infer<typeof request>, unknown, { word: string }>;

function open(changes: Partial<TestTask> = {}) {
  const closed: string[] = [];
  const ports = { ports: { word: "hello" }, close: async () => void closed.push("closed") };
  const task: TestTask = {
    name: "StageFragments",
    request,
    open: async () => ports,
    step: async () => null,
    ...changes,
  };
  return { handler: taskHandler(task), closed };
}

const throwing = (error: unknown): Partial<TestTask> => ({
  step: async () => {
    throw error;
  },
});

/** The log alone; of metrics there is another file. */
beforeEach(() => setMetricsEnabled(false));
afterEach(() => setLogLevel("INFO"));

describe("a task", () => {
  test("gives ports, request and deadline to its step, closes, and answers", async () => {
    const { handler, closed } = open({ step: async (ports, { run }, deadline) => ({ ports, run, deadline }) });
    let answer: unknown;
    await captureLines(async () => {
      answer = await handler(event, context);
    });
    expect(answer).toEqual({ ports: { word: "hello" }, run: { batchId: "batch_1" }, deadline: expect.any(Number) });
    const left = (answer as { deadline: number }).deadline - Date.now();
    expect(left).toBeGreaterThan(55_000);
    expect(left).toBeLessThanOrEqual(60_000);
    expect(closed).toEqual(["closed"]);
  });

  test("logs start and end, every line with the ids", async () => {
    const { handler } = open({
      step: async () => {
        openLog().info("in the middle", { rows: 5 });
        return { next: "done", secret: canary };
      },
    });
    const lines = await captureLines(() => handler(event, context));
    expect(lines.map(({ message }) => message)).toEqual([
      "StageFragments started",
      "in the middle",
      "StageFragments ended",
    ]);
    const ids = { ...run, execution: "exec-1", worker: 2, task: "StageFragments", function_request_id: "request-1" };
    for (const line of lines) expect(line).toMatchObject({ ...ids, service: "table-loader" });
    expect(lines[1]).toMatchObject({ rows: 5 });
    expect(lines[2]).toMatchObject({ next: "done", seconds: expect.any(Number) });
    expect(JSON.stringify(lines)).not.toContain(canary);
  });

  test("keeps the ids of two invocations apart", async () => {
    const { handler } = open({
      step: async (_, { run }) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        openLog().info("mine", { expected: run.batchId });
      },
    });
    const events = ["b1", "b2", "b3"].map((batchId) => ({ run: { ...run, batchId } }));
    const lines = await captureLines(() => Promise.all(events.map((one) => handler(one, context))));
    const mine = lines.filter(({ message }) => message === "mine");
    expect(mine).toHaveLength(3);
    for (const line of mine) expect(line.batchId).toBe(line.expected);
  });

  test("writes one line, whatever stands in an id", async () => {
    const { handler } = open({ request: z.object({}) as never });
    const batchId = `a"\r\n\u001b[31m{"level":"forged"}`;
    const lines = await captureLines(() => handler({ input: { batchId } }, context));
    expect(lines).toHaveLength(2);
    expect(lines[0]?.batchId).toBe(batchId);
  });

  test("logs from the level on that was set, in every invocation", async () => {
    setLogLevel("WARN");
    const { handler } = open();
    const lines = await captureLines(async () => {
      await handler(event, context);
      await handler(event, context);
      await handler(event, context);
    });
    expect(lines).toEqual([]);
  });
});

describe("an error", () => {
  const database = Object.assign(new Error(`Key (id)=(${canary}) exists`), {
    code: "23505",
    constraint_name: "blood_pkey",
  });
  const aws = Object.assign(new Error(canary), { name: "AccessDenied", $metadata: { httpStatusCode: 403 } });
  test.each([
    ["a LoaderError", new PermanentError("BATCH_EMPTY", "no fragment"), "PermanentError", "BATCH_EMPTY"],
    ["a stale fence", new StaleFence("batch_1", 3), "StaleFence", "STALE_FENCE"],
    ["a constraint", database, "PermanentError", "DB_CONSTRAINT"],
    [
      "a lost connection",
      Object.assign(new Error(canary), { code: "ECONNRESET" }),
      "TransientError",
      "DB_CONNECTION_LOST",
    ],
    ["S3", aws, "BlockedError", "S3_ACCESS"],
    ["nobody foresaw", new RangeError(canary), "BlockedError", "LOADER_BUG"],
    ["no error", canary, "BlockedError", "LOADER_BUG"],
  ])(
    "of %s gets one of the four names, is logged by its code, without values, and all is closed",
    async (_, thrown, name, code) => {
      const { handler, closed } = open(throwing(thrown));
      let fault: unknown;
      const lines = await captureLines(async () => {
        fault = await codeOf(handler(event, context));
      });
      expect(fault).toMatchObject({ name, code });
      expect(closed).toEqual(["closed"]);
      const failed = lines.find(({ message }) => message === "StageFragments failed");
      expect(failed).toMatchObject({ code, batchId: "batch_1", error: { name, code, stack: expect.any(Array) } });
      expect(JSON.stringify([lines, fault])).not.toContain(canary);
    },
  );

  test("while opening is classified like any other", async () => {
    const refused = Object.assign(new Error(canary), { code: "28P01" });
    const { handler } = open({ open: () => Promise.reject(refused) });
    const lines = await captureLines(async () => {
      expect(await codeOf(handler(event, context))).toMatchObject({ name: "BlockedError", code: "DB_AUTH" });
    });
    expect(JSON.stringify(lines)).not.toContain(canary);
  });

  test("of the event's form names the members, not their values", async () => {
    const { handler } = open();
    const lines = await captureLines(async () => {
      const fault = await codeOf(handler({ run: { batchId: 4711 } }, context));
      expect(fault).toMatchObject({ name: "BlockedError", code: "INPUT_INVALID" });
      expect(fault.message).toContain("run.batchId");
    });
    expect(lines).not.toEqual([]);
  });

  test("that blocks is noted", async () => {
    const noted: unknown[] = [];
    const blocked = new BlockedError("DB_DISK_FULL", "no room");
    const onBlocked = async (_ports: unknown, _request: unknown, fault: unknown) => void noted.push(fault);
    const { handler } = open({ ...throwing(blocked), onBlocked });
    await captureLines(() => codeOf(handler(event, context)));
    expect(noted).toEqual([{ code: "DB_DISK_FULL", message: "no room" }]);
  });

  test("that passes is noted as blocking where the machine has waited for it before", async () => {
    const noted: unknown[] = [];
    const away = new TransientError("DB_UNAVAILABLE", "nobody answers");
    const onBlocked = async (_ports: unknown, _request: unknown, fault: unknown) => void noted.push(fault);
    const { handler } = open({ ...throwing(away), onBlocked });
    await captureLines(() => codeOf(handler({ ...event, rounds: 1 }, context)));
    expect(noted).toEqual([{ code: "DB_UNAVAILABLE", message: "nobody answers" }]);
  });

  test("that blocks stays the one that is thrown, even if noting and closing fail", async () => {
    const broken = () => Promise.reject(new Error(canary));
    const { handler } = open({
      ...throwing(new BlockedError("DB_DISK_FULL", "no room")),
      onBlocked: broken,
      open: async () => ({ ports: { word: "" }, close: broken }),
    });
    const lines = await captureLines(async () => {
      expect(await codeOf(handler(event, context))).toMatchObject({ code: "DB_DISK_FULL" });
    });
    expect(JSON.stringify(lines)).not.toContain(canary);
  });
});

test("what a step has done stays done, even if closing fails", async () => {
  const { handler } = open({
    open: async () => ({ ports: { word: "" }, close: () => Promise.reject(new Error("no")) }),
  });
  const lines = await captureLines(async () => expect(await handler(event, context)).toBeNull());
  expect(lines.map(({ message }) => message)).toContain("could not close");
});
