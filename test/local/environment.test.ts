import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from "@aws-sdk/client-sfn";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { settings } from "../../lib/config.ts";
import { type LocalEnvironment, openLocalEnvironment } from "../../lib/local/environment.ts";
import { readLocalEnvironment } from "../../lib/local/environment-file.ts";
import type { FunctionName, LambdaFunction } from "../../lib/local/lambda.ts";
import { makeTemporaryDirectory } from "../../lib/local/postgres-process.ts";

/** Handlers that do nothing but take the machine through: this is a test of what stands around them. */
const answers: Partial<Record<FunctionName, object>> = {
  "validate-batch": { next: "wait", status: "waiting" },
  "start-load": { batchItemFailures: [] },
};
const invoked: { name: string; event: unknown }[] = [];

async function load(name: FunctionName): Promise<LambdaFunction> {
  const handler = async (event: unknown): Promise<unknown> => {
    invoked.push({ name, event });
    if (name === "start-load") await startExecution();
    return answers[name] ?? {};
  };
  return { name, handler };
}

function client(): SFNClient {
  const { localMachineEndpoint, region } = settings();
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  return new SFNClient({ endpoint: localMachineEndpoint ?? "", region, credentials });
}

async function startExecution(): Promise<void> {
  const input = JSON.stringify({ batchId: "batch_20250101_000000" });
  await client().send(new StartExecutionCommand({ stateMachineArn: settings().stateMachineArn ?? "", input }));
}

let home: string;
let directory: string;
let environment: LocalEnvironment;

beforeAll(async () => {
  home = await makeTemporaryDirectory();
  directory = join(home, ".table-loader");
  environment = await openLocalEnvironment({ directory, load, sweepSeconds: 1 });
});
afterAll(async () => {
  await environment.close();
  await rm(home, { recursive: true });
});

test("points the settings of this process at itself", () => {
  const { database, bucketVersioning, localEndpoint, leaseSeconds } = settings();
  expect(database).toMatchObject({
    host: "127.0.0.1",
    name: "idhub",
    user: "idhub_user",
    auth: "password",
    tls: "off",
  });
  expect({ bucketVersioning, leaseSeconds }).toEqual({ bucketVersioning: false, leaseSeconds: 960 });
  expect(localEndpoint).toBe(environment.bucket.endpoint);
});

test("has migrated, made the sample's tables, and uploaded the contracts", async () => {
  expect(invoked[0]?.name).toBe("migrate");
  const sql = postgres(environment.databaseUrl, { max: 1 });
  const [subject] = await sql`select tableowner from pg_tables where tablename = 'subject'`;
  await sql.end();
  expect(subject?.tableowner).toBe("idhub_user");
  expect(environment.bucket.keys("config/")).toEqual(["config/tables.json"]);
});

test("takes an arrival through the queue and start-load to an execution of the synthesized machine", async () => {
  await environment.bucket.put("staging/validated/batch_20250101_000000/blood.json", "[]");
  await expect.poll(() => environment.machine.list().length).toBe(1);
  const [execution] = environment.machine.list();
  const record = await environment.machine.settle(execution?.arn ?? "");
  expect(record).toMatchObject({ status: "SUCCEEDED", output: '{"next":"wait","status":"waiting"}' });
  const described = await client().send(new DescribeExecutionCommand({ executionArn: record.arn }));
  expect(described.status).toBe("SUCCEEDED");
});

test("sweeps on a schedule", async () => {
  await expect.poll(() => invoked.some(({ name }) => name === "sweep"), { timeout: 5_000 }).toBe(true);
});

test("refuses to open twice, naming the process, and is found by others", async () => {
  await expect(openLocalEnvironment({ directory, load })).rejects.toThrow(
    new RegExp(`LOCAL_ENVIRONMENT_OPEN: .* is open in process ${process.pid}`),
  );
  expect(await readLocalEnvironment(directory)).toMatchObject({ pid: process.pid, variables: environment.variables });
});

test("keeps rows and objects over close and open, and leaves no sign of being open", async () => {
  const first = postgres(environment.databaseUrl, { max: 1 });
  await first`create table kept as select 1 as n`;
  await first.end();
  await environment.close();
  expect(await readLocalEnvironment(directory)).toBeNull();

  environment = await openLocalEnvironment({ directory, load, automatic: false });
  const second = postgres(environment.databaseUrl, { max: 1 });
  expect([...(await second`select n from kept`)]).toEqual([{ n: 1 }]);
  await second.end();
  expect(environment.bucket.keys("staging/")).toHaveLength(1);
});
