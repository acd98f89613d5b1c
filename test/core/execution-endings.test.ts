import { describe, expect, test } from "vitest";
import type { BatchState } from "../../lib/core/batch.ts";
import { type ExecutionStatus, endingOf } from "../../lib/core/execution.ts";
import { parseArchivedKey } from "../../lib/core/keys.ts";

const batchId = "batch_20260101_000000";
const owner = "arn:aws:states:us-east-1:123456789012:execution:LoadBatch:named";

function ending(status: ExecutionStatus, error: string | null = null, state: BatchState = "loading") {
  return endingOf({ owner, state }, { status, error, output: null, cause: "a cause may hold anything" });
}

describe("what an execution that holds a batch says of itself", () => {
  test("one that runs is at work", () => {
    expect(ending("RUNNING")).toBeNull();
  });

  test.each<[ExecutionStatus, string | null]>([
    ["SUCCEEDED", null],
    ["FAILED", "BlockedError"],
    ["FAILED", "RECORDS_REJECTED"],
    ["FAILED", null],
  ])("%s %s: its load is resumed", (status, error) => {
    expect(ending(status, error)).toMatchObject({ kind: "EXECUTION_LOST", fault: null });
  });

  test("one that nobody knows: its load is resumed", () => {
    expect(endingOf({ owner, state: "loading" }, null)).toMatchObject({ kind: "EXECUTION_LOST", fault: null });
  });

  test("one that has used up its events: its load is resumed, since that says nothing of the batch", () => {
    const cause = "The execution reached the maximum number of history events (25000).";
    const execution = { status: "FAILED", error: "States.Runtime", output: null, cause } as const;
    expect(endingOf({ owner, state: "loading" }, execution)).toMatchObject({ kind: "EXECUTION_LOST", fault: null });
  });

  test.each<[string, ExecutionStatus, string | null]>([
    ["EXECUTION_ABORTED", "ABORTED", null],
    ["EXECUTION_TIMED_OUT", "TIMED_OUT", "States.Timeout"],
    ["EXECUTION_FAILED", "FAILED", "States.Runtime"],
    ["EXECUTION_FAILED", "FAILED", "States.DataLimitExceeded"],
  ])("%s: its attempt fails, and no cause is repeated", (code, status, error) => {
    const ended = ending(status, error);
    expect(ended).toMatchObject({ kind: code, fault: { code } });
    expect(ended?.fault?.message).toContain("execution named");
    expect(ended?.fault?.message).toContain("action retry");
    expect(ended?.fault?.message).not.toContain("cause");
    if (code === "EXECUTION_FAILED") expect(ended?.fault?.message).toContain(error);
  });

  test.each<BatchState>(["committed", "archived"])("of a batch that is %s nobody is told to retry", (state) => {
    expect(ending("ABORTED", null, state)?.fault?.message).not.toContain("retry");
  });
});

describe("a key below loaded/", () => {
  const home = `staging/validated/${batchId}`;
  test.each([
    ["blood.json", { stagedKey: `${home}/blood.json`, epoch: 1, table: "blood" }],
    ["blood/part-1.json", { stagedKey: `${home}/blood/part-1.json`, epoch: 1, table: "blood" }],
    ["blood/_SUCCESS", { stagedKey: `${home}/blood/_SUCCESS`, epoch: 1, table: "blood" }],
    ["epoch-2/blood.json", { stagedKey: `${home}/blood.json`, epoch: 2, table: "blood" }],
    ["epoch-12/blood/part-1.json", { stagedKey: `${home}/blood/part-1.json`, epoch: 12, table: "blood" }],
  ])("%s is a fragment or marker", (below, expected) => {
    const key = `loaded/${batchId}/${below}`;
    expect(parseArchivedKey(key)).toEqual({ key, batchId, ...expected });
  });

  test.each([
    "load_result.json",
    "load_result.attempt-2.json",
    "epoch-2/load_result.json",
    "duplicates/v1/blood.json",
    "duplicates/v1/blood/part-1.json",
    "notes.txt",
    "epoch-2/",
    "",
  ])("%j is none", (below) => {
    expect(parseArchivedKey(`loaded/${batchId}/${below}`)).toBeNull();
  });

  test("what lies elsewhere is none", () => {
    expect(parseArchivedKey(`failed/${batchId}/blood.json`)).toBeNull();
    expect(parseArchivedKey("loaded/blood.json")).toBeNull();
  });
});
