import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DescribeStacksCommand } from "@aws-sdk/client-cloudformation";
import { ListFunctionsCommand } from "@aws-sdk/client-lambda";
import { ListBucketsCommand } from "@aws-sdk/client-s3";
import { DeleteSecretCommand, RestoreSecretCommand } from "@aws-sdk/client-secrets-manager";
import { ListStateMachinesCommand } from "@aws-sdk/client-sfn";
import { ListQueuesCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sampleBatch } from "../../lib/local/sample/sample-batch.ts";
import { openClients } from "./clients.ts";
import { describeDeployed } from "./global-setup.ts";
import { openPipeline } from "./pipeline.ts";
import { deploy, destroy, type StackOutputs, stackName, synthesize } from "./stack.ts";
import { contextOf, openWorld, type World } from "./world.ts";

/** Deployments that fail, the one that then works, and the end of a stack: in a world of their own, in this order. */

let world: World;
let assembly: string;
beforeAll(async () => {
  world = await openWorld();
  assembly = await synthesize(world, "only", { context: contextOf(world) });
});
afterAll(() => world?.close());

/** What the CDK says of something that fails. */
async function failureOf(work: Promise<unknown>): Promise<string> {
  const outcome = await work.then(
    () => "it did not fail",
    (error: Error) => error.message,
  );
  return outcome.replaceAll(/\s+/g, " ");
}

test("contracts that do not parse are refused before anything is deployed", async () => {
  const contractsFile = join(world.folder, "broken.json");
  await writeFile(contractsFile, '{"tables": {');
  const failure = await failureOf(synthesize(world, "broken", { context: { ...contextOf(world), contractsFile } }));
  expect(failure).toContain(contractsFile);
  expect(failure).toMatch(/contracts/i);
});

describe("a stack from its first deployment to its last day", () => {
  let outputs: StackOutputs;

  test("is refused without the secret, and the CDK says which and what to do", async () => {
    const { secrets } = openClients(world.emulator);
    await secrets.send(new DeleteSecretCommand({ SecretId: world.secretArn, RecoveryWindowInDays: 7 }));
    const failure = await failureOf(deploy(world, assembly));
    await secrets.send(new RestoreSecretCommand({ SecretId: world.secretArn }));
    expect(failure).toContain(`Migrations`);
    expect(failure).toContain(`DB_AUTH: secret ${world.secretArn}: cannot be read`);
    expect(failure).toContain("check DB_SECRET_ARN (of a deployment: databaseSecretArn)");
  });

  test("is refused with a database that cannot be reached, and the CDK says which and what to do", async () => {
    const { host, port, database: name } = world.database;
    await world.stopDatabase();
    const failure = await failureOf(deploy(world, assembly));
    await world.startDatabase();
    expect(failure).toContain(`DB_UNAVAILABLE: database ${name} at ${host}:${port}: it cannot be reached`);
    expect(failure).toContain("check databaseHost, databasePort and the network of the functions; then deploy again");
  });

  test("is deployed after that as if nothing had been, and loads", async () => {
    outputs = await deploy(world, assembly);
    const pipeline = openPipeline(describeDeployed(world, outputs));
    const batchId = "batch_20260101_000001";
    const fragments = sampleBatch({ seed: 1, now: new Date("2026-01-01T00:00:00Z"), subjects: 5, samplesPerTable: 5 });
    await pipeline.queue(batchId, fragments);
    await pipeline.drop(batchId, fragments);
    expect(await pipeline.settled(batchId, "loaded")).toMatchObject({ status: "success", records_loaded: 50 });
    await pipeline.quiet();
    await pipeline.close();
  });

  test("is destroyed, but for what holds data", async () => {
    const { cloudFormation, lambda, sfn, sqs, s3 } = openClients(world.emulator);
    await destroy(world, assembly);
    const gone = cloudFormation.send(new DescribeStacksCommand({ StackName: stackName }));
    await expect(gone).rejects.toThrow(/does not exist/);
    expect((await lambda.send(new ListFunctionsCommand({}))).Functions).toEqual([]);
    expect((await sfn.send(new ListStateMachinesCommand({}))).stateMachines).toEqual([]);
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls ?? []).toEqual([]);
    const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
    expect(Buckets.map(({ Name }) => Name)).toContain(outputs.BucketName);
    const pipeline = openPipeline(describeDeployed(world, outputs));
    expect(await pipeline.keys("loaded/batch_20260101_000001/")).toHaveLength(13);
    await pipeline.close();
  });
});
