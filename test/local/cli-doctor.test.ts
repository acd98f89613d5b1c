import { tmpdir } from "node:os";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Connect, connect } from "../../lib/cli/connect.ts";
import type { DoctorReport } from "../../lib/cli/doctor-command.ts";
import { runCli } from "../../lib/cli/main.ts";
import { overrideEnvironment } from "../../lib/config.ts";
import { BlockedError } from "../../lib/core/errors.ts";
import type { Operate } from "../../lib/core/operations.ts";
import { operateInProcess } from "../../lib/local/attached-operate.ts";
import { recordIo } from "../cli/support.ts";
import { type Flow, openFlow } from "../support/flow.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
  await flow.invoke("sweep");
});
afterAll(() => flow.close());

const connectTo =
  (operate: Operate): Connect =>
  async () => ({ operate, pollMilliseconds: 20, close: () => {} });

/** Runs `doctor` as a process would. */
async function doctor(to: Connect = connectTo(operateInProcess), ...args: string[]) {
  const io = recordIo(tmpdir());
  const exitCode = await runCli(["doctor", ...args], io, to);
  return { exitCode, stdout: io.stdout() };
}

async function report(to?: Connect): Promise<DoctorReport & { readonly exitCode: number }> {
  const { exitCode, stdout } = await doctor(to, "--json");
  return { exitCode, ...(JSON.parse(stdout) as DoctorReport) };
}

const codesOf = ({ checks }: DoctorReport): string[] =>
  checks.flatMap(({ findings }) => findings.map(({ code }) => code));

test("ends with 0 and a line for every check of a healthy environment", async () => {
  const { exitCode, stdout } = await doctor();
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^cli\n {2}ok {7}function +local environment answers\n/);
  expect(stdout).toMatch(/\n {2}ok +login +127\.0\.0\.1:\d+\/test_\w+ as \w+, logged in as \w+, without TLS\n/);
  expect(stdout).toMatch(/\n {2}ok +dead letters +none\n/);
  expect(stdout).toMatch(/\n0 errors, 0 warnings, \d\d checks ok$/);
});

test("with --json, writes one document with the settings of what answered, and no secret", async () => {
  const found = await report();
  expect(found).toMatchObject({ exitCode: 0, status: "healthy", errors: 0, warnings: 0 });
  expect(found.loader).toMatchObject({ loader_version: expect.any(String), bucket: flow.bucket.name });
  expect(JSON.stringify(found)).not.toContain(flow.database.server.password);
});

test("ends with 1 where it found an error, and shows what, where, got, expected and what to do", async () => {
  await flow.sql`revoke insert on blood from current_user`;
  const { exitCode, stdout } = await doctor();
  await flow.sql`grant insert on blood to current_user`;
  expect(exitCode).toBe(1);
  const user = flow.database.server.user;
  expect(stdout).toContain(`
  error    permissions
    GRANT_MISSING: the role lacks permissions
      where     table public.blood
      got       no insert
      expected  insert
      do        grant insert on table public.blood to ${user}
`);
  expect(stdout).toMatch(/\n1 error, 0 warnings, \d\d checks ok$/);
});

test("ends with 0 where it found warnings alone", async () => {
  await flow.sql`drop index stool_subject_idx`;
  const found = await report();
  await flow.sql`create index stool_subject_idx on stool (global_subject_id)`;
  expect(found).toMatchObject({ exitCode: 0, status: "findings", errors: 0, warnings: 1 });
  expect(codesOf(found)).toEqual(["FOREIGN_KEY_UNINDEXED"]);
});

test("ends with 1 where the database is down, and says in one line what that leaves unchecked", async () => {
  overrideEnvironment({ DB_PORT: "9" });
  const { exitCode, stdout } = await doctor();
  overrideEnvironment(flow.database.variables);
  expect(exitCode).toBe(1);
  expect(stdout).toContain("DB_UNAVAILABLE: the database cannot be used");
  expect(stdout).toMatch(
    /control tables\n {2}- {8}not checked: DB_UNAVAILABLE above \(migrations, tables, columns\)\n/,
  );
  expect(stdout).toMatch(/\n1 error, 0 warnings, \d+ checks ok, \d\d not checked$/);
});

test("looks at the queues itself", async () => {
  await flow.bucket.sqs("SendMessage", { QueueUrl: flow.bucket.deadLetters.url, MessageBody: "{}" });
  const found = await report();
  expect(codesOf(found)).toEqual(["DEAD_LETTERS"]);
  const { Messages } = (await flow.bucket.sqs("ReceiveMessage", { QueueUrl: flow.bucket.deadLetters.url })) as {
    Messages: { ReceiptHandle: string }[];
  };
  const ReceiptHandle = Messages[0]?.ReceiptHandle;
  await flow.bucket.sqs("DeleteMessage", { QueueUrl: flow.bucket.deadLetters.url, ReceiptHandle });
  expect(codesOf(await report())).toEqual([]);
});

test("says that a queue is not there", async () => {
  overrideEnvironment({ UNDELIVERED_QUEUE_URL: `${flow.bucket.arrivals.url}-gone` });
  const found = await report();
  overrideEnvironment({ UNDELIVERED_QUEUE_URL: "" });
  expect(found).toMatchObject({ exitCode: 1, errors: 1 });
  expect(codesOf(found)).toEqual(["AWS_MISSING"]);
});

test("says that the function is of another version", async () => {
  const other = (async (request: Parameters<Operate>[0]) => {
    const diagnosis = await operateInProcess(request as { operation: "doctor" });
    return { ...diagnosis, loader: { ...diagnosis.loader, loader_version: "1", function_version: "42" } };
  }) as Operate;
  const { exitCode, stdout } = await doctor(connectTo(other));
  expect(exitCode).toBe(0);
  expect(stdout).toContain("answers, version 42");
  expect(stdout).toMatch(/LOADER_VERSIONS: .*\n +where .*\n +got +loader 1\n +expected +loader \d/);
});

test.each([
  ["nobody is named", "NOT_CONNECTED: no loader to talk to", ["NOT_CONNECTED"]],
  ["the function may not be invoked", "AWS_ACCESS: function x: AWS denies access", ["AWS_ACCESS"]],
  ["the function does not know the question", "INPUT_INVALID: event of Operate", ["INPUT_INVALID"]],
])("ends with 4 where %s", async (_, message, codes) => {
  const [code = "", text = ""] = message.split(": ", 2);
  const found = await report(async () => {
    throw new BlockedError(code, text);
  });
  expect(found).toMatchObject({ exitCode: 4, status: "unreachable", loader: null });
  expect(codesOf(found)).toEqual(codes);
});

test("ends with 4 where its own settings are wrong, and names them all, and the region", async () => {
  overrideEnvironment({ MAX_LOADS: "x", LEASE_SECONDS: "x" });
  const io = recordIo(tmpdir());
  const name = "arn:aws:lambda:eu-west-1:123456789012:function:operate";
  const exitCode = await runCli(["doctor", "--function", name, "--json"], io, connect);
  overrideEnvironment({ MAX_LOADS: "", LEASE_SECONDS: "120" });
  expect(exitCode).toBe(4);
  const [check] = (JSON.parse(io.stdout()) as DoctorReport).checks;
  expect(check?.findings.map(({ code, where }) => [code, where])).toEqual([
    ["SETTING_INVALID", "MAX_LOADS"],
    ["SETTING_INVALID", "LEASE_SECONDS"],
    ["CLI_REGION", name],
  ]);
});

test.each([
  ["flags that contradict each other", ["--local", "--function", "x"], connect, 2, "USAGE: "],
  [
    "a fault of its own",
    [],
    connectTo(async () => {
      throw new TypeError("nobody foresaw it");
    }),
    5,
    "UNEXPECTED: ",
  ],
] as const)("blames no environment for %s", async (_, flags, to, exitCode, told) => {
  const io = recordIo(tmpdir());
  expect(await runCli(["doctor", ...flags], io, to)).toBe(exitCode);
  expect(io.stderr()).toMatch(new RegExp(`^${told}`));
  expect(io.stdout()).toBe("");
});
