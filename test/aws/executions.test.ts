import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from "@aws-sdk/client-sfn";
import { mockClient } from "aws-sdk-client-mock";
import { beforeEach, expect, test } from "vitest";
import { openExecutions } from "../../lib/aws/executions.ts";
import { executionInput } from "../../lib/core/execution.ts";
import { codeOf } from "./support/local-store.ts";

const sfn = mockClient(SFNClient);
beforeEach(() => sfn.reset());

const stateMachineArn = "arn:aws:states:us-east-1:123456789012:stateMachine:LoadBatch";
const executionArn = (name: string) => `arn:aws:states:us-east-1:123456789012:execution:LoadBatch:${name}`;
const executions = openExecutions({ stateMachineArn, region: "us-east-1", endpoint: null });
const input = executionInput.parse({ batchId: "batch_20250101_000000", source: "arrival" });
const fails = (name: string) => Object.assign(new Error(name), { name, $metadata: { httpStatusCode: 400 } });
const taken = (name: string): void => {
  sfn.on(StartExecutionCommand, { name }).rejects(fails("ExecutionAlreadyExists"));
};
const ended = (name: string, status: "RUNNING" | "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "ABORTED"): void => {
  taken(name);
  sfn.on(DescribeExecutionCommand, { executionArn: executionArn(name) }).resolves({ status });
};
const starts = (name: string): void => {
  sfn.on(StartExecutionCommand, { name }).resolves({ executionArn: executionArn(name) });
};

test("starts the machine with the input as JSON", async () => {
  starts("a");
  expect(await executions.start("a", input)).toEqual({ executionArn: executionArn("a"), duplicate: false });
  const sent = sfn.commandCalls(StartExecutionCommand)[0]?.args[0].input;
  expect(sent).toEqual({ stateMachineArn, name: "a", input: JSON.stringify(input) });
});

test.each(["RUNNING", "SUCCEEDED"] as const)("one of the name that is %s is a duplicate", async (status) => {
  ended("a", status);
  expect(await executions.start("a", input)).toEqual({ executionArn: executionArn("a"), duplicate: true });
});

test("after failed ones the name gets the next suffix", async () => {
  ended("a", "FAILED");
  ended("a-2", "ABORTED");
  ended("a-3", "TIMED_OUT");
  starts("a-4");
  expect(await executions.start("a", input)).toEqual({ executionArn: executionArn("a-4"), duplicate: false });
});

test("a suffix never makes the name longer than 80 characters", async () => {
  const name = "n".repeat(80);
  ended(name, "FAILED");
  starts(`${"n".repeat(78)}-2`);
  expect((await executions.start(name, input)).duplicate).toBe(false);
});

test("gives up after 20 failed ones", async () => {
  sfn.on(StartExecutionCommand).rejects(fails("ExecutionAlreadyExists"));
  sfn.on(DescribeExecutionCommand).resolves({ status: "FAILED" });
  const fault = await codeOf(executions.start("a", input));
  expect(fault).toMatchObject({ name: "BlockedError", code: "EXECUTION_NAMES_USED" });
  expect(sfn.commandCalls(StartExecutionCommand)).toHaveLength(20);
});

test.each([
  ["ThrottlingException", "TransientError", "AWS_THROTTLED"],
  ["ExecutionLimitExceeded", "TransientError", "AWS_THROTTLED"],
  ["AccessDeniedException", "BlockedError", "AWS_ACCESS"],
  ["StateMachineDoesNotExist", "BlockedError", "AWS_MISSING"],
])("%s is a %s %s", async (thrown, name, code) => {
  sfn.on(StartExecutionCommand).rejects(fails(thrown));
  expect(await codeOf(executions.start("a", input))).toMatchObject({ name, code });
});

test("describes status, output and error; one that waits for its redrive runs", async () => {
  const described = sfn.on(DescribeExecutionCommand);
  described
    .resolvesOnce({ status: "SUCCEEDED", output: "{}" })
    .resolvesOnce({ status: "FAILED", error: "PermanentError", cause: "X: x" })
    .resolves({ status: "PENDING_REDRIVE" });
  const describe = () => executions.describe(executionArn("a"));
  const none = { output: null, error: null, cause: null };
  expect(await describe()).toEqual({ ...none, status: "SUCCEEDED", output: "{}" });
  expect(await describe()).toEqual({ ...none, status: "FAILED", error: "PermanentError", cause: "X: x" });
  expect(await describe()).toEqual({ ...none, status: "RUNNING" });
});

test("with again, one of the name that has succeeded is no duplicate; one that runs is", async () => {
  ended("a", "SUCCEEDED");
  starts("a-2");
  ended("b", "RUNNING");
  const start = (name: string) => executions.start(name, input, { again: true });
  expect(await start("a")).toEqual({ executionArn: executionArn("a-2"), duplicate: false });
  expect(await start("b")).toEqual({ executionArn: executionArn("b"), duplicate: true });
});

test("finds an execution, and nothing where there is none or what is asked for is no ARN", async () => {
  const described = sfn.on(DescribeExecutionCommand);
  described
    .resolvesOnce({ status: "ABORTED" })
    .rejectsOnce(fails("ExecutionDoesNotExist"))
    .rejectsOnce(fails("InvalidArn"))
    .rejects(fails("AccessDeniedException"));
  const find = () => executions.find(executionArn("a"));
  expect(await find()).toMatchObject({ status: "ABORTED" });
  expect(await find()).toBeNull();
  expect(await find()).toBeNull();
  expect(await codeOf(find())).toMatchObject({ name: "BlockedError", code: "AWS_ACCESS" });
});
