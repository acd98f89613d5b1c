import { describe, expect, test } from "vitest";
import { executionId, fault, runMachine, type Script } from "./support/run-machine.ts";

const run = { next: "stage", batchId: "batch_20250101_000000", kind: "load", fence: 1, workers: [1, 2] };
const result = { status: "success", batch_id: run.batchId, notice: "loaded 3 records" };
const failedResult = { status: "failed", code: "JSON_SYNTAX", message: "fragment is no JSON", notice: "failed" };

const happy: Script = {
  ValidateBatch: run,
  StageFragments: { next: "done" },
  CommitBatch: { next: "committed" },
  ArchiveFragments: { next: "done" },
  CloseBatch: { next: "closed", result },
  NotifySuccess: {},
  NotifyFailure: {},
};
const failing: Script = {
  ...happy,
  FailBatch: { next: "archive" },
  CloseBatch: { next: "closed", result: failedResult },
};

const tasksOf = (visited: readonly string[]) =>
  visited.filter((name) => /^(Validate|Commit|Close|Fail|Rollback)Batch$|Fragments$/.test(name));

describe("a load that goes well", () => {
  test("stages with every worker, commits, archives, closes, tells, and answers the result", async () => {
    const { output, visited, payloads } = await runMachine(happy);
    expect(output).toEqual(result);
    expect(tasksOf(visited).toSorted()).toEqual(
      ["ArchiveFragments", "CloseBatch", "CommitBatch", "StageFragments", "StageFragments", "ValidateBatch"].toSorted(),
    );
    expect(visited.slice(-2)).toEqual(["NotifySuccess", "Loaded"]);
    expect(payloads.ValidateBatch).toEqual([{ input: { batchId: run.batchId }, execution: executionId, rounds: 0 }]);
    expect(payloads.StageFragments?.map(({ worker }) => worker)).toEqual([1, 2]);
    expect(payloads.CommitBatch).toEqual([{ run, execution: executionId, rounds: 0 }]);
    expect(payloads.NotifySuccess?.[0]).toMatchObject({ Message: result.notice });
  });

  test("calls a worker again while there is more, and later while others work", async () => {
    const { visited, payloads } = await runMachine({
      ...happy,
      ValidateBatch: { ...run, workers: [1] },
      StageFragments: [{ next: "more" }, ...Array(6).fill({ next: "wait" }), { next: "done" }],
    });
    expect(payloads.StageFragments).toHaveLength(8);
    expect(visited.filter((name) => name === "StageLater")).toHaveLength(4);
    expect(visited.filter((name) => name === "StageMuchLater")).toHaveLength(2);
    expect(visited.at(-1)).toBe("Loaded");
  });

  test("stages again what is missing, plans again, archives in steps, and starts over for what arrived meanwhile", async () => {
    const { visited, payloads } = await runMachine({
      ...happy,
      ValidateBatch: [{ ...run, workers: [1] }],
      CommitBatch: [{ next: "restage" }, { next: "replan" }, { next: "committed" }],
      ArchiveFragments: [{ next: "more" }, { next: "done" }],
      CloseBatch: [
        { next: "again", result: { ...result, notice: "the first" } },
        { next: "closed", result },
      ],
    });
    expect(tasksOf(visited)).toEqual([
      ...["ValidateBatch", "StageFragments", "CommitBatch", "StageFragments", "CommitBatch"],
      ...["ValidateBatch", "StageFragments", "CommitBatch", "ArchiveFragments", "ArchiveFragments", "CloseBatch"],
      ...["ValidateBatch", "StageFragments", "CommitBatch", "ArchiveFragments", "CloseBatch"],
    ]);
    expect(payloads.NotifySoFar?.[0]).toMatchObject({ Message: "the first" });
    expect(payloads.NotifySuccess).toHaveLength(1);
  });

  test("outlives a transient fault of each task, and a lost notice", async () => {
    const once = (step: object) => [fault("TransientError"), fault("Lambda.Unknown"), step];
    const { output, payloads } = await runMachine({
      ValidateBatch: once({ ...run, workers: [1] }) as never,
      StageFragments: once({ next: "done" }) as never,
      CommitBatch: once({ next: "committed" }) as never,
      ArchiveFragments: once({ next: "done" }) as never,
      CloseBatch: once({ next: "closed", result }) as never,
      NotifySuccess: fault("SNS.AuthorizationErrorException"),
    });
    expect(output).toEqual(result);
    expect(Object.values(payloads).map((calls) => calls.length)).toEqual([3, 3, 3, 3, 3, 0, 0, 1, 0, 0, 0]);
  });
});

describe("what ValidateBatch answers", () => {
  test.each(["wait", "busy", "already_processed"])("%s ends green, with the run as output", async (next) => {
    const { output, visited } = await runMachine({ ValidateBatch: { ...run, next } });
    expect(output).toEqual({ ...run, next });
    expect(visited.at(-1)).toBe("Recorded");
  });

  test("later waits in line and asks again; that is no fault, and nobody is told", async () => {
    const later = { ...run, next: "later", waitSeconds: 7 };
    const { output, visited } = await runMachine({ ...happy, ValidateBatch: [later, later, { ...run, workers: [1] }] });
    expect(output).toEqual(result);
    expect(visited.filter((state) => state === "WaitInLine")).toHaveLength(2);
    expect(visited).not.toContain("BlockedWait");
    expect(visited).not.toContain("NotifyBlocked");
  });

  test("refused fails with code and message, and touches nothing", async () => {
    const { failure, visited } = await runMachine({
      ValidateBatch: { next: "refused", code: "BATCH_INVALID_ID", message: "batch id expects batch_*" },
    });
    expect(failure).toBe("BATCH_INVALID_ID: batch id expects batch_*");
    expect(tasksOf(visited)).toEqual(["ValidateBatch"]);
  });

  test("any input reaches it as it is", async () => {
    const { payloads } = await runMachine({ ValidateBatch: { next: "busy" } }, ["no", { object: 1 }] as never);
    expect(payloads.ValidateBatch?.[0]?.input).toEqual(["no", { object: 1 }]);
  });

  test.each([
    ["archive", ["ValidateBatch", "ArchiveFragments", "CloseBatch"]],
    ["close", ["ValidateBatch", "CloseBatch"]],
    ["rollback", ["ValidateBatch", "RollbackBatch", "CloseBatch"]],
  ])("%s goes on there", async (next, tasks) => {
    const { visited } = await runMachine({
      ...happy,
      ValidateBatch: { ...run, next },
      RollbackBatch: { next: "close" },
    });
    expect(tasksOf(visited)).toEqual(tasks);
    expect(visited.at(-1)).toBe("Loaded");
  });

  test("fail gives FailBatch the fault as an error", async () => {
    const { failure, payloads } = await runMachine({
      ...failing,
      ValidateBatch: { ...run, next: "fail", code: "TABLE_UNKNOWN", message: "TABLE_UNKNOWN: table x" },
    });
    expect(payloads.FailBatch?.[0]?.error).toEqual({ Error: "PermanentError", Cause: "TABLE_UNKNOWN: table x" });
    expect(failure).toBe("JSON_SYNTAX: fragment is no JSON");
  });
});

describe("a preview", () => {
  const preview = { ...run, kind: "preview", workers: [1] };
  test("goes from the commit to the close, and gives no notice", async () => {
    const { output, visited, payloads } = await runMachine({
      ...happy,
      ValidateBatch: preview,
      CommitBatch: { next: "previewed" },
      CloseBatch: { next: "closed", result: { status: "preview" } },
    });
    expect(output).toEqual({ status: "preview" });
    expect(tasksOf(visited)).toEqual(["ValidateBatch", "StageFragments", "CommitBatch", "CloseBatch"]);
    expect(payloads.NotifySuccess).toEqual([]);
  });

  test("that fails is a failed execution, and gives no notice either", async () => {
    const { failure, payloads } = await runMachine({
      ...failing,
      ValidateBatch: preview,
      CommitBatch: { next: "previewed" },
    });
    expect(failure).toBe("JSON_SYNTAX: fragment is no JSON");
    expect(payloads.NotifyFailure).toEqual([]);
  });
});
