import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { type ArrivalSettings, parseArrival } from "../../lib/core/arrivals.ts";
import { parseFault } from "../../lib/core/errors.ts";
import { executionInput, parseExecutionInput } from "../../lib/core/execution.ts";
import { defaultBatchIdPattern, parseFragmentKey } from "../../lib/core/keys.ts";
import { type TaskState, taskStates } from "../../lib/core/machine.ts";
import { operateRequest } from "../../lib/core/operations.ts";
import { failRequest, stageRequest, taskRequest, validateRequest } from "../../lib/core/run.ts";
import { startLoad } from "../../lib/steps/start-load.ts";
import { root } from "../support/sources.ts";

/** Every sample in events/ is what its receiver takes. */

const read = (name: string): unknown => JSON.parse(readFileSync(join(root, "events", `${name}.json`), "utf8"));
const names = readdirSync(join(root, "events")).map((file) => file.replace(/\.json$/, ""));

const batchIdPattern = new RegExp(defaultBatchIdPattern);
const settings: ArrivalSettings = { bucket: "idhub-curated-fragments", batchIdPattern, account: "123456789012" };

const arrivals = ["s3-object-created", "start-load"];
const manual = names.filter((name) => name.startsWith("manual-"));
const operations = names.filter((name) => name.startsWith("operate-"));

const requests = {
  ValidateBatch: validateRequest,
  StageFragments: stageRequest,
  CommitBatch: taskRequest,
  ArchiveFragments: taskRequest,
  CloseBatch: taskRequest,
  FailBatch: failRequest,
  RollbackBatch: taskRequest,
} as const satisfies Record<TaskState, unknown>;

test("every file in events/ has its test here", () => {
  const tested = [...arrivals, "sweep", ...manual, ...operations, ...Object.values(taskStates)];
  expect(names.toSorted()).toEqual(tested.toSorted());
});

describe("arrivals", () => {
  test("s3-object-created.json is an arrival of a fragment", () => {
    const arrival = parseArrival(JSON.stringify(read("s3-object-created")), settings);
    expect(arrival).toMatchObject({ kind: "arrival", batchId: "batch_20260714_093000", size: 48213 });
    expect(parseFragmentKey(arrival.kind === "arrival" ? arrival.key : "")).toMatchObject({ table: "blood" });
  });

  test("start-load.json carries that event, and starts its batch", async () => {
    const event = read("start-load") as { Records: { messageId: string; body: string; md5OfBody: string }[] };
    const [message] = event.Records;
    expect(JSON.parse(message?.body ?? "")).toEqual(read("s3-object-created"));
    expect(message?.md5OfBody).toBe(
      createHash("md5")
        .update(message?.body ?? "")
        .digest("hex"),
    );
    const start = vi.fn(async () => ({ executionArn: "arn", duplicate: false }));
    const log = { info: () => {}, warn: () => {} };
    const answer = await startLoad({ executions: { start }, deadLetters: { send: vi.fn() }, log, settings }, event);
    expect(answer).toEqual({ batchItemFailures: [] });
    const input = executionInput.parse({ batchId: "batch_20260714_093000", source: "arrival" });
    expect(start).toHaveBeenCalledExactlyOnceWith(expect.stringMatching(/^batch_20260714_093000-[0-9a-f]{24}$/), input);
  });

  test("sweep.json is what EventBridge sends on a schedule", () => {
    expect(read("sweep")).toMatchObject({ source: "aws.events", "detail-type": "Scheduled Event", detail: {} });
  });
});

test.each(manual)("%s.json is an execution's input", (name) => {
  const parsed = parseExecutionInput(read(name), batchIdPattern);
  expect(parsed.fault).toBeNull();
  expect(parsed.input).toMatchObject({ source: "manual", ...(read(name) as object) });
});

describe("states", () => {
  const states = Object.entries(taskStates) as [TaskState, string][];

  test.each(states)("%s takes %s.json, all of it", (state, name) => {
    const event = read(name);
    expect(requests[state].strict().parse(event)).toEqual(event);
  });

  test("validate-batch.json holds the input that start-load writes", () => {
    const { input } = validateRequest.parse(read("validate-batch"));
    expect(parseExecutionInput(input, batchIdPattern).input).toMatchObject({ source: "arrival" });
  });

  test("fail-batch.json holds an error as Step Functions hands it over", () => {
    const { error } = failRequest.parse(read("fail-batch"));
    const { errorType, errorMessage } = JSON.parse(error.Cause) as { errorType: string; errorMessage: string };
    expect(errorType).toBe(error.Error);
    expect(parseFault(errorMessage, "none").code).toBe("RECORDS_REJECTED");
  });
});

describe("operate", () => {
  test.each(operations)("%s.json is a request", (name) => {
    expect(`operate-${operateRequest.parse(read(name)).operation}`).toBe(name);
  });

  test("every operation has a sample", () => {
    const known = operateRequest.options.map(({ shape }) => `operate-${shape.operation.value}`);
    expect(operations.toSorted()).toEqual(known.toSorted());
  });
});
