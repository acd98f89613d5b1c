import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import type { Connect } from "../../lib/cli/connect.ts";
import { runCli } from "../../lib/cli/main.ts";
import type { Operate, OperateRequest } from "../../lib/core/operations.ts";
import { recordIo } from "./support.ts";

const batchId = "batch_20260101_120000";

/** Runs a command against an `operate` that writes down what it was asked, and refuses every start. */
async function run(...args: string[]) {
  const asked: OperateRequest[] = [];
  const where: object[] = [];
  const operate = (async (request: OperateRequest) => {
    asked.push(request);
    if (request.operation === "start") return { executionArn: "arn" };
    if (request.operation === "execution") {
      return { status: "FAILED", output: null, error: "INPUT_INVALID", cause: "refused here" };
    }
    if (request.operation === "approve") return { batch_id: batchId, approved: ["blood"], created: [] };
    return request.operation === "batches" ? { batches: [] } : { status: null };
  }) as Operate;
  const connect: Connect = async (wanted) => {
    where.push({ local: wanted.local, function: wanted.function });
    return { operate, pollMilliseconds: 1, close: () => {} };
  };
  const io = recordIo(tmpdir());
  const exitCode = await runCli(args, io, connect);
  return { exitCode, asked, where, stdout: io.stdout(), stderr: io.stderr() };
}

test.each([
  ["a flag that nobody knows", ["load", batchId, "--frobnicate"], /unknown option '--frobnicate'/],
  ["a command that nobody knows", ["lod", batchId], /command "lod": expected one of load, preview/],
  ["no command", [], /no command: expected one, or --batch-id/],
  ["a batch left out", ["load"], /missing required argument 'batch'/],
  ["one argument too many", ["status", batchId, "more"], /too many arguments/],
  ["a batch size that is none", ["load", batchId, "--batch-size", "1e3"], /expected a whole number/],
  ["a batch size out of range", ["load", batchId, "--batch-size", "0"], /expected a whole number from 1/],
  ["a strategy that nobody knows", ["load", batchId, "--strategy", "merge"], /Allowed choices are upsert/],
  ["a table without a name", ["load", batchId, "--table", ""], /expected a table name/],
  ["an approval of a dry run", ["--batch-id", batchId, "--approve", "--dry-run"], /got both, expected one/],
  ["fewer subjects than the examples need", ["local", "seed", "--count", "3"], /expected at least 10/],
])("refuses %s before anything is called", async (_, args, message) => {
  const { exitCode, asked, where, stderr, stdout } = await run(...args);
  expect(stderr).toMatch(message);
  expect({ exitCode, asked, where, stdout }).toEqual({ exitCode: 2, asked: [], where: [], stdout: "" });
});

test.each(["nope", "batch_20260101", "batch_20260101_120000/../x", " batch_20260101_120000", ""])(
  "refuses the batch id %j before anything is called",
  async (bad) => {
    for (const command of ["load", "preview", "approve", "retry", "status"]) {
      const { exitCode, where, stderr } = await run(command, bad);
      expect({ exitCode, where }).toEqual({ exitCode: 2, where: [] });
      expect(stderr).toMatch(/BATCH_INVALID_ID: batch id .*expected a match of/);
    }
  },
);

test("flags become the input of the execution", async () => {
  const flags = ["--table", "blood", "--table-name", "dna", "--table", "blood", "--batch-size", "500"];
  const { asked } = await run(
    "load",
    batchId,
    ...flags,
    "--strategy",
    "upsert",
    "--target-warehouse",
    "postgres",
    "--force",
  );
  expect(asked[0]).toEqual({
    operation: "start",
    input: {
      batchId,
      action: "load",
      dryRun: false,
      tables: ["blood", "dna"],
      batchSize: 500,
      strategy: "upsert",
      targetWarehouse: "postgres",
      force: false,
      source: "manual",
    },
  });
});

test.each([
  [["preview", batchId], { action: "load", dryRun: true }],
  [["load", batchId, "--dry-run"], { action: "load", dryRun: true }],
  [["load", batchId, "--no-dry-run"], { action: "load", dryRun: false }],
  [["retry", batchId], { action: "retry", dryRun: false }],
  [["retry", batchId, "--dry-run"], { action: "retry", dryRun: true }],
  [["--batch-id", batchId], { action: "load", dryRun: true }],
  [["--batch-id", batchId, "--dry-run"], { action: "load", dryRun: true }],
])("%j starts %j", async (args, input) => {
  const { asked } = await run(...args);
  expect(asked.map(({ operation }) => operation)).toEqual(["start", "execution"]);
  expect(asked[0]).toMatchObject({ input: { batchId, ...input } });
});

test("--approve records the approval, then loads", async () => {
  const { asked } = await run("--batch-id", batchId, "--approve", "--by", "ana", "--table", "blood");
  expect(asked[0]).toEqual({ operation: "approve", batchId, tables: ["blood"], approvedBy: "ana" });
  expect(asked[1]).toMatchObject({ operation: "start", input: { dryRun: false, tables: ["blood"] } });
});

test("approve --no-load only records, under the user's name", async () => {
  const { asked, exitCode, stdout } = await run("approve", batchId, "--no-load", "--json");
  expect({ asked, exitCode }).toEqual({
    asked: [{ operation: "approve", batchId, approvedBy: "tester" }],
    exitCode: 0,
  });
  expect(JSON.parse(stdout)).toEqual({ batch_id: batchId, approved: ["blood"], created: [] });
});

test("says where the loader is", async () => {
  expect((await run("batches", "--function", "operate")).where).toEqual([{ local: undefined, function: "operate" }]);
  expect((await run("batches", "--local")).where).toEqual([{ local: true, function: undefined }]);
});

test("with --json, a fault is one document on stdout as well", async () => {
  const { stdout, stderr, exitCode } = await run("load", batchId, "--json", "--frobnicate");
  expect(JSON.parse(stdout)).toMatchObject({ status: "error", code: "USAGE" });
  expect(stderr).toContain("--frobnicate");
  expect(exitCode).toBe(2);
});

test("--help names every command and exit code", async () => {
  const { exitCode, stdout, asked } = await run("--help");
  expect({ exitCode, asked }).toEqual({ exitCode: 0, asked: [] });
  for (const word of ["load", "preview", "approve", "retry", "status", "batches", "local", "  4  blocked"]) {
    expect(stdout).toContain(word);
  }
});
