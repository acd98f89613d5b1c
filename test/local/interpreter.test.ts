import { afterEach, expect, test } from "vitest";
import {
  type LocalMachine,
  type MachineEvent,
  type MachineOptions,
  type Notice,
  openMachine,
} from "../../lib/local/interpreter.ts";
import type { Handler, LambdaContext } from "../../lib/local/lambda.ts";

const machines: LocalMachine[] = [];
afterEach(() => Promise.all(machines.splice(0).map((machine) => machine.close())));

const task = { Type: "Task", Resource: "arn:aws:lambda:us-east-1:000000000000:function:any" };
const quick = { waitMilliseconds: 0, retryMilliseconds: 0 };

function open(States: object, handlers: Record<string, Handler>, more: Partial<MachineOptions> = {}): LocalMachine {
  const functions = Object.fromEntries(
    Object.entries(handlers).map(([state, handler]) => [state, { name: state, handler }]),
  );
  const definition = { StartAt: Object.keys(States)[0], States };
  const machine = openMachine({ definition, functions, pauses: quick, ...more });
  machines.push(machine);
  return machine;
}

async function run(machine: LocalMachine, input: unknown = {}) {
  const { arn } = machine.start("one", JSON.stringify(input));
  return machine.settle(arn);
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

test("gives the state's payload to the handler as JSON, and its answer as JSON to the next state", async () => {
  const seen: unknown[] = [];
  const machine = open(
    {
      First: { ...task, Parameters: { "id.$": "$$.Execution.Id", "name.$": "$$.Execution.Name" }, Next: "Second" },
      Second: { ...task, ResultPath: null, End: true },
    },
    {
      First: (event) => {
        seen.push(event);
        return { at: new Date(0), lost: undefined };
      },
      Second: (event, context) => {
        seen.push(event, (context as LambdaContext).functionName, context.getRemainingTimeInMillis() > 59_000);
      },
    },
  );
  const record = await run(machine);
  expect(record).toMatchObject({ status: "SUCCEEDED", output: '{"at":"1970-01-01T00:00:00.000Z"}' });
  expect(seen).toEqual([
    { id: "arn:aws:states:us-east-1:000000000000:execution:LoadBatch:one", name: "one" },
    { at: "1970-01-01T00:00:00.000Z" },
    "Second",
    true,
  ]);
  expect(record.states).toEqual(["First", "Second"]);
});

test("retries by the name of the error, and catches by it, with the fault that Lambda reports as cause", async () => {
  let tries = 0;
  const events: MachineEvent[] = [];
  const machine = open(
    {
      Work: {
        ...task,
        Retry: [{ ErrorEquals: ["TransientError"], MaxAttempts: 2, IntervalSeconds: 30 }],
        Catch: [
          { ErrorEquals: ["TransientError"], Next: "Wrong" },
          { ErrorEquals: ["PermanentError"], ResultPath: "$.error", Next: "Later" },
        ],
        Next: "Wrong",
      },
      Later: { Type: "Wait", Seconds: 600, Next: "Right" },
      Wrong: { Type: "Fail" },
      Right: { Type: "Succeed" },
    },
    {
      Work: () => {
        tries += 1;
        throw tries < 3 ? named("TransientError", "S3_SLOW: again") : named("PermanentError", "BAD: batch, got x");
      },
    },
    { onEvent: (event) => events.push(event) },
  );
  const record = await run(machine);
  const { error } = JSON.parse(record.output ?? "");
  expect(error.Error).toBe("PermanentError");
  expect(JSON.parse(error.Cause)).toMatchObject({ errorType: "PermanentError", errorMessage: "BAD: batch, got x" });
  expect(record.states).toEqual(["Work", "Later", "Right"]);
  expect(events.filter(({ type }) => type !== "exited").map(({ type, state }) => `${type} ${state}`)).toEqual([
    "entered Work",
    "failed Work",
    "retried Work",
    "failed Work",
    "retried Work",
    "failed Work",
    "caught Work",
    "entered Later",
    "entered Right",
  ]);
});

test("ends as failed with the error that nobody caught", async () => {
  const work = () => {
    throw named("BlockedError", "DB_AWAY: database");
  };
  const record = await run(open({ Work: { ...task, End: true } }, { Work: work }));
  expect(record).toMatchObject({ status: "FAILED", output: null, error: "BlockedError" });
  expect(JSON.parse(record.cause ?? "")).toMatchObject({ errorMessage: "DB_AWAY: database" });
});

test("reads Error and Cause of a Fail state", async () => {
  const record = await run(open({ Stop: { Type: "Fail", ErrorPath: "$.code", CausePath: "$.why" } }, {}), {
    code: "REFUSED",
    why: "not approved",
  });
  expect(record).toMatchObject({ status: "FAILED", error: "REFUSED", cause: "not approved" });
});

test("runs the workers of a Map, each with its item, and tells which one entered what", async () => {
  const events: MachineEvent[] = [];
  const machine = open(
    {
      Workers: {
        Type: "Map",
        ItemsPath: "$.workers",
        ItemSelector: { "worker.$": "$$.Map.Item.Value", "execution.$": "$$.Execution.Name" },
        ItemProcessor: { StartAt: "Stage", States: { Stage: { ...task, End: true } } },
        End: true,
      },
    },
    { Stage: (event) => event },
    { onEvent: (event) => events.push(event) },
  );
  const record = await run(machine, { workers: [1, 2, 3] });
  expect(JSON.parse(record.output ?? "")).toEqual([1, 2, 3].map((worker) => ({ worker, execution: "one" })));
  const entered = events.filter(({ type }) => type === "entered").map(({ state, item }) => [state, item]);
  expect(entered).toEqual([
    ["Workers", null],
    ["Stage", 0],
    ["Stage", 1],
    ["Stage", 2],
  ]);
});

test("fails uncaught when a payload is over 256 KiB", async () => {
  const states = {
    Work: { ...task, Catch: [{ ErrorEquals: ["States.ALL"], Next: "Caught" }], End: true },
    Caught: { Type: "Succeed" },
  };
  const record = await run(open(states, { Work: () => "x".repeat(256 * 1024) }));
  expect(record).toMatchObject({ status: "FAILED", error: "States.DataLimitExceeded" });
});

test("turns the machine's own SNS tasks into notices", async () => {
  const notices: Notice[] = [];
  const publish = { Type: "Task", Resource: "arn:aws:states:::sns:publish", Parameters: { "Message.$": "$.text" } };
  const states = { NotifySuccess: { ...publish, ResultPath: null, End: true } };
  const record = await run(open(states, {}, { onNotice: (notice) => notices.push(notice) }), { text: "loaded" });
  expect(record.status).toBe("SUCCEEDED");
  expect(notices).toEqual([{ state: "NotifySuccess", message: "loaded" }]);
});

test("refuses a machine whose task has no handler", () => {
  expect(() => open({ CommitBatch: { ...task, End: true } }, {})).toThrow(
    /CommitBatch has no handler; expected functions/,
  );
});

test("aborts what runs when it is stopped", async () => {
  const machine = open({ Later: { Type: "Wait", Seconds: 600, End: true } }, {}, { pauses: {} });
  const { arn } = machine.start("one", "{}");
  await machine.stop(arn, { error: "Operator", cause: "enough" });
  expect(machine.find(arn)).toMatchObject({ status: "ABORTED", error: "Operator", cause: "enough" });
});
