import { CreateStackCommand, DescribeStacksCommand } from "@aws-sdk/client-cloudformation";
import { InvokeCommand } from "@aws-sdk/client-lambda";
import { CopyObjectCommand, DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { CreateStateMachineCommand, StartExecutionCommand } from "@aws-sdk/client-sfn";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { openPipeline } from "./pipeline.ts";
import { until } from "./waiting.ts";

/** What the other tests take for granted of the emulator, and where it is not as AWS is: docs/emulator.md. */

const deployed = inject("deployed");
const pipeline = openPipeline(deployed);
const { cloudFormation, lambda, s3, sfn } = pipeline.clients;
const Bucket = deployed.outputs.BucketName;
afterAll(() => pipeline.close());

const code = `
class Passing extends Error { name = "TransientError"; }
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
exports.handler = async (event, context) => {
  const before = context.getRemainingTimeInMillis();
  if (event.pause) await pause(event.pause);
  if (event.fail) throw new Passing("not now");
  return { before, after: context.getRemainingTimeInMillis() };
};`;

const roleFor = (service: string, policies: object[] = []): object => {
  const trusted = { Effect: "Allow", Action: "sts:AssumeRole", Principal: { Service: `${service}.amazonaws.com` } };
  const trust = { Version: "2012-10-17", Statement: [trusted] };
  return { Type: "AWS::IAM::Role", Properties: { AssumeRolePolicyDocument: trust, Policies: policies } };
};
const invokes = { Effect: "Allow", Action: "lambda:InvokeFunction", Resource: "*" };
const invoking = { PolicyName: "invoke", PolicyDocument: { Version: "2012-10-17", Statement: [invokes] } };
const template = {
  Resources: {
    Role: roleFor("lambda"),
    Machine: roleFor("states", [invoking]),
    Probe: {
      Type: "AWS::Lambda::Function",
      Properties: {
        Runtime: "nodejs24.x",
        Handler: "index.handler",
        Code: { ZipFile: code },
        Role: { "Fn::GetAtt": ["Role", "Arn"] },
        ReservedConcurrentExecutions: 1,
        Timeout: 10,
      },
    },
  },
  Outputs: {
    Function: { Value: { "Fn::GetAtt": ["Probe", "Arn"] } },
    Role: { Value: { "Fn::GetAtt": ["Machine", "Arn"] } },
  },
};

let functionArn: string;
let roleArn: string;
beforeAll(async () => {
  const StackName = "Probe";
  const create = { StackName, TemplateBody: JSON.stringify(template), Capabilities: ["CAPABILITY_IAM" as const] };
  await cloudFormation.send(new CreateStackCommand(create));
  const outputs = await until("the probe to be deployed", async () => {
    const { Stacks } = await cloudFormation.send(new DescribeStacksCommand({ StackName }));
    return Stacks?.[0]?.StackStatus === "CREATE_COMPLETE" ? Stacks[0].Outputs : null;
  });
  const output = (name: string) => outputs.find(({ OutputKey }) => OutputKey === name)?.OutputValue ?? "";
  functionArn = output("Function");
  roleArn = output("Role");
});

async function invoke(payload: object) {
  const command = new InvokeCommand({ FunctionName: functionArn, Payload: JSON.stringify(payload) });
  const { FunctionError, Payload } = await lambda.send(command);
  return { failed: FunctionError !== undefined, answer: JSON.parse(Payload?.transformToString() ?? "null") };
}

describe("its functions", () => {
  test("report errors by their own name, which is a patch of ours", async () => {
    expect(await invoke({ fail: true })).toMatchObject({ failed: true, answer: { errorType: "TransientError" } });
  });

  test("are told how much time is left", async () => {
    const { answer } = await invoke({ pause: 100 });
    expect(answer.before - answer.after).toBeGreaterThanOrEqual(95);
    expect(answer.before).toBeLessThanOrEqual(10_000);
  });

  test("run at most as often at a time as is reserved for them, which is a patch of ours", async () => {
    // longer than the client tries again
    const calls = await Promise.allSettled([1, 2, 3, 4].map(() => invoke({ pause: 3_000 })));
    const refused = calls.flatMap((call) => (call.status === "rejected" ? [(call.reason as Error).name] : []));
    expect(refused.length).toBeGreaterThan(0);
    expect(new Set(refused)).toEqual(new Set(["TooManyRequestsException"]));
  });
});

let machines = 0;

/** Runs a machine of the given states; the first one begins. */
async function run(states: Record<string, object>, input: object = {}) {
  machines += 1;
  const definition = JSON.stringify({ StartAt: Object.keys(states)[0], States: states });
  const create = { name: `Probe${machines}`, definition, roleArn };
  const { stateMachineArn = "" } = await sfn.send(new CreateStateMachineCommand(create));
  const start = new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input) });
  return pipeline.ended((await sfn.send(start)).executionArn ?? "");
}

const task = (more: object = {}): object => ({ Type: "Task", Resource: functionArn, End: true, ...more });
const caught = { Type: "Pass", Result: "caught", End: true };
const ended = (output: unknown) => ({ status: "SUCCEEDED", error: null, output });

describe("its interpreter", () => {
  test("catches a task's error by name", async () => {
    const Catch = [{ ErrorEquals: ["TransientError"], Next: "Caught" }];
    expect(await run({ Fails: task({ Catch }), Caught: caught }, { fail: true })).toEqual(ended("caught"));
  });

  test("catches on a Map what an item has thrown", async () => {
    const ItemProcessor = { StartAt: "Fails", States: { Fails: task() } };
    const Catch = [{ ErrorEquals: ["TransientError"], Next: "Caught" }];
    const each = { Type: "Map", ItemsPath: "$.items", ItemProcessor, Catch, End: true };
    expect(await run({ Each: each, Caught: caught }, { items: [{ fail: true }] })).toEqual(ended("caught"));
  });

  test("ends a task by its TimeoutSeconds", async () => {
    const Catch = [{ ErrorEquals: ["States.Timeout"], Next: "Caught" }];
    const slow = task({ TimeoutSeconds: 1, Catch });
    expect(await run({ Slow: slow, Caught: caught }, { pause: 3_000 })).toEqual(ended("caught"));
  });

  test("refuses every name of an execution that was used, where AWS answers a running one of the same input", async () => {
    const definition = JSON.stringify({ StartAt: "Wait", States: { Wait: { Type: "Wait", Seconds: 30, End: true } } });
    const create = { name: "Names", definition, roleArn };
    const { stateMachineArn = "" } = await sfn.send(new CreateStateMachineCommand(create));
    const start = () => sfn.send(new StartExecutionCommand({ stateMachineArn, name: "same", input: "{}" }));
    await start();
    await expect(start()).rejects.toThrow(expect.objectContaining({ name: "ExecutionAlreadyExists" }));
  });
});

describe("its buckets", () => {
  const Key = "private/conditional.json";
  const put = (more: object = {}) => s3.send(new PutObjectCommand({ Bucket, Key, Body: "[]", ...more }));
  const failed = { name: "PreconditionFailed" };

  test("keep versions", async () => {
    const first = await put();
    const second = await put();
    expect(first.VersionId).not.toBe(second.VersionId);
    await s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId: second.VersionId }));
    expect((await s3.send(new GetObjectCommand({ Bucket, Key }))).VersionId).toBe(first.VersionId);
  });

  test("take conditions for writing and copying", async () => {
    await put();
    await expect(put({ IfNoneMatch: "*" })).rejects.toMatchObject(failed);
    const copy = { Bucket, Key: "private/copy.json", CopySource: `${Bucket}/${Key}` };
    await expect(s3.send(new CopyObjectCommand({ ...copy, CopySourceIfMatch: '"0"' }))).rejects.toMatchObject(failed);
    await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  });
});
