import { DescribeStacksCommand } from "@aws-sdk/client-cloudformation";
import { ListFunctionsCommand } from "@aws-sdk/client-lambda";
import { ListBucketsCommand } from "@aws-sdk/client-s3";
import { ListStateMachinesCommand } from "@aws-sdk/client-sfn";
import { ListQueuesCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sampleBatch } from "../../lib/local/sample/sample-batch.ts";
import { openClients } from "./clients.ts";
import { describeDeployed } from "./global-setup.ts";
import { openPipeline } from "./pipeline.ts";
import { type Deployment, deploy, destroy, stackName } from "./stack.ts";
import { contextOf, openWorld, type World } from "./world.ts";

/** Deployments that fail, the one that then works, and the end of a stack: in a world of their own, in this order. */

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

describe("a stack from its first deployment to its last day", () => {
  let deployment: Deployment;

  test("is deployed, and loads", async () => {
    deployment = await deploy(world, "right", contextOf(world));
    const pipeline = openPipeline(describeDeployed(world, deployment));
    const batchId = "batch_20260101_000001";
    const fragments = sampleBatch({ seed: 1, now: new Date("2026-01-01T00:00:00Z"), subjects: 5, samplesPerTable: 5 });
    await pipeline.drop(batchId, fragments);
    await pipeline.queue(batchId, fragments);
    await pipeline.start({ batchId });
    expect(await pipeline.settled(batchId, "loaded")).toMatchObject({ status: "success", records_loaded: 50 });
    await pipeline.quiet();
    await pipeline.close();
  });

  test("is destroyed, but for what holds data", async () => {
    const { cloudFormation, lambda, sfn, sqs, s3 } = openClients(world.emulator);
    await destroy(world, deployment.assembly);
    const gone = cloudFormation.send(new DescribeStacksCommand({ StackName: stackName }));
    await expect(gone).rejects.toThrow(/does not exist/);
    expect((await lambda.send(new ListFunctionsCommand({}))).Functions).toEqual([]);
    expect((await sfn.send(new ListStateMachinesCommand({}))).stateMachines).toEqual([]);
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls ?? []).toEqual([]);
    const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
    expect(Buckets.map(({ Name }) => Name)).toContain(deployment.outputs.BucketName);
  });
});
