import {
  DescribeExecutionCommand,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from "@aws-sdk/client-sfn";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LocalMachine, openMachine } from "../../lib/local/interpreter.ts";
import { type MachineEndpoint, openMachineEndpoint } from "../../lib/local/machine-endpoint.ts";

const definition = {
  StartAt: "Work",
  States: { Work: { Type: "Task", Resource: "arn:aws:lambda:us-east-1:000000000000:function:work", End: true } },
};
let gate = Promise.withResolvers<void>();
let machine: LocalMachine;
let endpoint: MachineEndpoint;
let sfn: SFNClient;

beforeAll(async () => {
  const handler = async (event: unknown) => {
    await gate.promise;
    if ((event as { fail?: boolean }).fail) throw Object.assign(new Error("BAD: x"), { name: "PermanentError" });
    return { done: true };
  };
  machine = openMachine({ definition, functions: { Work: { name: "work", handler } } });
  endpoint = await openMachineEndpoint(machine);
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  sfn = new SFNClient({ endpoint: endpoint.url, region: "us-east-1", credentials, maxAttempts: 1 });
});
afterAll(async () => {
  await endpoint.close();
  await machine.close();
});

function start(name: string | undefined, input?: string) {
  return sfn.send(new StartExecutionCommand({ stateMachineArn: machine.arn, name, input }));
}

async function nameOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (error: Error) => error.name,
  );
}

test("starts once per name: the same input while it runs is the same execution, anything else exists already", async () => {
  gate = Promise.withResolvers();
  const first = await start("load-1", '{"batchId":"b"}');
  const twin = await start("load-1", '{"batchId":"b"}');
  expect(twin).toMatchObject({ executionArn: first.executionArn, startDate: first.startDate });
  expect(await nameOf(start("load-1", '{"batchId":"c"}'))).toBe("ExecutionAlreadyExists");
  gate.resolve();
  await machine.settle(first.executionArn ?? "");
  expect(await nameOf(start("load-1", '{"batchId":"b"}'))).toBe("ExecutionAlreadyExists");
});

test("describes a success and a failure", async () => {
  gate.resolve();
  const good = await start(undefined);
  const bad = await start("bad", '{"fail":true}');
  await Promise.all([good, bad].map(({ executionArn = "" }) => machine.settle(executionArn)));
  const describe = (executionArn: string | undefined) => sfn.send(new DescribeExecutionCommand({ executionArn }));
  expect(await describe(good.executionArn)).toMatchObject({
    status: "SUCCEEDED",
    stateMachineArn: machine.arn,
    input: "{}",
    output: '{"done":true}',
    startDate: expect.any(Date),
    stopDate: expect.any(Date),
  });
  expect(await describe(bad.executionArn)).toMatchObject({ name: "bad", status: "FAILED", error: "PermanentError" });
  const { executions } = await sfn.send(
    new ListExecutionsCommand({ stateMachineArn: machine.arn, statusFilter: "FAILED" }),
  );
  expect(executions?.map(({ name }) => name)).toEqual(["bad"]);
});

test("stops an execution", async () => {
  gate = Promise.withResolvers();
  const { executionArn } = await start("long");
  await sfn.send(new StopExecutionCommand({ executionArn, error: "Operator", cause: "enough" }));
  gate.resolve();
  const stopped = await sfn.send(new DescribeExecutionCommand({ executionArn }));
  expect(stopped).toMatchObject({ status: "ABORTED", error: "Operator", cause: "enough" });
});

test.each([
  ["InvalidName", () => start("no spaces")],
  ["InvalidName", () => start("x".repeat(81))],
  ["InvalidExecutionInput", () => start("x", "{")],
  ["InvalidExecutionInput", () => start("x", JSON.stringify("x".repeat(262_144)))],
  ["StateMachineDoesNotExist", () => sfn.send(new StartExecutionCommand({ stateMachineArn: `${machine.arn}x` }))],
  ["ExecutionDoesNotExist", () => sfn.send(new DescribeExecutionCommand({ executionArn: "arn:aws:states:x" }))],
])("refuses with %s", async (name, call) => {
  expect(await nameOf(call())).toBe(name);
});
