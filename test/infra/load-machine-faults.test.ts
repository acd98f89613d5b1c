import { describe, expect, test } from "vitest";
import { blockedWait } from "../../lib/core/durations.ts";
import { executionId, fault, runMachine, type Script } from "./support/run-machine.ts";

const run = { next: "stage", batchId: "batch_20250101_000000", kind: "load", fence: 1, workers: [1] };
const result = { status: "success", notice: "loaded" };
const failedResult = { status: "failed", code: "REJECTED", message: "2 records rejected", notice: "failed" };

const happy: Script = {
  ValidateBatch: run,
  StageFragments: { next: "done" },
  CommitBatch: { next: "committed" },
  ArchiveFragments: { next: "done" },
  CloseBatch: { next: "closed", result },
  RollbackBatch: { next: "close" },
  NotifySuccess: {},
  NotifyFailure: {},
};

describe("the batch's own fault", () => {
  test("before the commit: fails the batch, archives, closes, tells, and fails the execution", async () => {
    const { failure, visited, payloads } = await runMachine({
      ...happy,
      CommitBatch: fault("PermanentError", "REJECTED: 2 records"),
      FailBatch: { next: "archive" },
      CloseBatch: { next: "closed", result: failedResult },
    });
    expect(failure).toBe("REJECTED: 2 records rejected");
    expect(payloads.CommitBatch).toHaveLength(1);
    expect(payloads.FailBatch?.[0]?.error).toEqual({ Error: "PermanentError", Cause: "REJECTED: 2 records" });
    expect(visited.slice(visited.indexOf("FailBatch"))).toEqual([
      ...[
        "FailBatch",
        "Failed",
        "ArchiveFragments",
        "Archived",
        "CloseBatch",
        "Closed",
        "NotifyFailure",
        "BatchFailed",
      ],
    ]);
  });

  test("found to be stale by FailBatch: ends and touches nothing", async () => {
    const { visited, failure } = await runMachine({
      ...happy,
      CommitBatch: fault("PermanentError"),
      FailBatch: { next: "end" },
    });
    expect(failure).toBeNull();
    expect(visited.at(-1)).toBe("Superseded");
  });

  test.each(["ValidateBatch", "ArchiveFragments", "CloseBatch", "RollbackBatch"] as const)(
    "thrown by %s never reaches FailBatch: the batch is blocked and goes on",
    async (state) => {
      const steps = [fault("PermanentError"), happy[state] as object];
      const next = state === "RollbackBatch" ? "rollback" : "stage";
      const script = { ...happy, ValidateBatch: { ...run, next }, [state]: steps } as Script;
      const { visited, output } = await runMachine(script);
      expect(visited).toContain("BlockedWait");
      expect(visited).not.toContain("FailBatch");
      expect(output).toEqual(result);
    },
  );
});

describe("a stale fence", () => {
  test.each(["ValidateBatch", "CommitBatch", "ArchiveFragments", "CloseBatch", "RollbackBatch"] as const)(
    "in %s ends green at once",
    async (state) => {
      const next = state === "RollbackBatch" ? "rollback" : "stage";
      const script = { ...happy, ValidateBatch: { ...run, next }, [state]: fault("StaleFence") };
      const { visited, payloads, failure } = await runMachine(script);
      expect(failure).toBeNull();
      expect(visited.slice(-2)).toEqual([state, "Superseded"]);
      expect(payloads[state]).toHaveLength(1);
    },
  );
});

describe("a blocked load", () => {
  test.each(["BlockedError", "TransientError", "Lambda.ServiceException", "States.Timeout", "TypeError"])(
    "%s waits and asks ValidateBatch what is left",
    async (name) => {
      const { output, visited, payloads } = await runMachine({
        ...happy,
        CommitBatch: [...Array(retriesOf(name)).fill(fault(name)), { next: "committed" }],
      });
      expect(output).toEqual(result);
      expect(visited.filter((state) => state === "BlockedWait")).toHaveLength(1);
      expect(payloads.ValidateBatch).toHaveLength(2);
    },
  );

  test("is told once, with what is wrong, and tells every task how often it has waited", async () => {
    const { payloads } = await runMachine({
      ...happy,
      CommitBatch: [fault("BlockedError", "DB_AUTH: no"), fault("BlockedError", "DB_AUTH: no"), { next: "committed" }],
    });
    expect(payloads.NotifyBlocked?.map(({ Message }) => Message)).toEqual([
      `blocked: ${executionId} waits for its environment, and goes on by itself: {"Error":"BlockedError","Cause":"DB_AUTH: no"}`,
    ]);
    expect(payloads.ValidateBatch?.map(({ rounds }) => rounds)).toEqual([0, 1, 2]);
    expect(payloads.CommitBatch?.map(({ rounds }) => rounds)).toEqual([0, 1, 2]);
  });

  test("waits longer each round, up to the longest wait", async () => {
    const { waits } = await runMachine({ ...happy, ValidateBatch: [...Array(7).fill(fault("BlockedError")), run] });
    expect(waits).toEqual([30, 60, 120, 240, 480, 600, 600]);
  });

  test("gives up after the last round, as a failed execution that names the last fault", async () => {
    const { failure, payloads } = await runMachine({ ValidateBatch: fault("BlockedError", "DB_UNAVAILABLE: no host") });
    expect(failure).toBe("BlockedError: DB_UNAVAILABLE: no host");
    expect(payloads.ValidateBatch).toHaveLength(blockedWait.rounds);
  });

  test("an answer that nobody foresaw is the loader's fault, not the batch's", async () => {
    const { visited, output } = await runMachine({
      ...happy,
      CommitBatch: [{ next: "perhaps" }, { next: "committed" }],
    });
    expect(visited).toContain("UnknownAnswer");
    expect(visited).not.toContain("FailBatch");
    expect(output).toEqual(result);
  });
});

describe("a worker that fails", () => {
  test("tears no other worker down, and CommitBatch decides", async () => {
    const finished: unknown[] = [];
    const { output, payloads } = await runMachine({
      ...happy,
      ValidateBatch: { ...run, workers: [1, 2, 3] },
      StageFragments: async ({ worker }) => {
        if (worker === 2) throw fault("PermanentError");
        await new Promise((resolve) => setTimeout(resolve, 20));
        finished.push(worker);
        return { next: "done" };
      },
    });
    expect(finished).toEqual([1, 3]);
    expect(payloads.CommitBatch).toHaveLength(1);
    expect(output).toEqual(result);
  });

  test("is tried again after a transient fault only", async () => {
    const { payloads } = await runMachine({ ...happy, StageFragments: fault("TransientError") });
    expect(payloads.StageFragments).toHaveLength(4);
    const blocked = await runMachine({ ...happy, StageFragments: fault("BlockedError") });
    expect(blocked.payloads.StageFragments).toHaveLength(1);
  });

  test("whose answer nobody foresaw blocks the load", async () => {
    const { visited, output } = await runMachine({ ...happy, StageFragments: [{ next: "perhaps" }, { next: "done" }] });
    expect(visited).toContain("BlockedWait");
    expect(output).toEqual(result);
  });
});

function retriesOf(name: string): number {
  return /^(TransientError|Lambda\.)/.test(name) ? 4 : 1;
}
