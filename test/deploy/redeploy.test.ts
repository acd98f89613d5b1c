import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DescribeStateMachineCommand, GetExecutionHistoryCommand, ListExecutionsCommand } from "@aws-sdk/client-sfn";
import { afterAll, expect, inject, test } from "vitest";
import { contractsKey } from "../../lib/core/keys.ts";
import type { SampleFragment } from "../../lib/local/sample/values.ts";
import { brokenRules } from "../support/invariants.ts";
import { bloods, subjects } from "../support/records.ts";
import { openPipeline } from "./pipeline.ts";
import { copyProject, deploy, synthesize } from "./stack.ts";
import { until } from "./waiting.ts";

/** A second deployment, with other code and other contracts, in the middle of a load. */

const deployed = inject("deployed");
const pipeline = openPipeline(deployed);
const { sfn } = pipeline.clients;
const stateMachineArn = deployed.outputs.StateMachineArn;
afterAll(() => pipeline.close());

const inTheMiddle = "batch_20260105_000001";
const meanwhile = "batch_20260105_000002";
const afterwards = "batch_20260105_000003";
const back = "batch_20260105_000004";

const subjectsOf = (prefix: string): SampleFragment => ({
  table: "subject",
  fileName: "subject.json",
  body: JSON.stringify(subjects(prefix, 3)),
});
const bloodsOf = (prefix: string, more: object = {}): SampleFragment => ({
  table: "blood",
  fileName: "blood.json",
  body: JSON.stringify(bloods(prefix, 3, more)),
});

async function drop(batchId: string, fragments: readonly SampleFragment[]): Promise<void> {
  await pipeline.queue(batchId, fragments);
  await pipeline.drop(batchId, fragments);
}

/** The project with every handler changed, and with blood samples that may be updated. */
async function changeProject(folder: string): Promise<string> {
  const project = await copyProject(folder);
  for (const file of await readdir(join(project, "functions"))) {
    await appendFile(join(project, "functions", file), '\nexport const edition = "second";\n');
  }
  const file = join(project, "config/tables.json");
  const contracts = JSON.parse(await readFile(file, "utf8"));
  contracts.tables.blood = { ...contracts.tables.blood, update_strategy: "upsert", conflict_resolution: "merge" };
  await writeFile(file, JSON.stringify(contracts));
  return project;
}

/** The versions of functions that the machine names, or that its executions of a batch have called. */
const versionsIn = (text: string): string[] => [...new Set(text.match(/function:[\w-]+:\d+/g))].toSorted();

async function versionsOfMachine(): Promise<string[]> {
  const { definition = "" } = await sfn.send(new DescribeStateMachineCommand({ stateMachineArn }));
  return versionsIn(definition);
}

async function versionsCalledFor(batchId: string): Promise<string[]> {
  const { executions = [] } = await sfn.send(new ListExecutionsCommand({ stateMachineArn, maxResults: 1000 }));
  const arns = executions.filter(({ name }) => name?.startsWith(batchId)).map(({ executionArn }) => executionArn);
  const histories = arns.map((executionArn) =>
    sfn.send(new GetExecutionHistoryCommand({ executionArn, maxResults: 1000 })),
  );
  const events = (await Promise.all(histories)).flatMap(({ events: found = [] }) => found);
  return versionsIn(JSON.stringify(events));
}

/** Until the commit of a load waits for a lock. */
async function commitWaits(): Promise<void> {
  await until("the commit to wait for the lock", async () => {
    // what sessions of another role wait for, pg_stat_activity does not show
    const waiting = await pipeline.sql`
      select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`;
    return waiting.length > 0;
  });
}

/** Runs something while nobody can write to the table of blood samples. */
async function whileLocked(work: () => Promise<void>): Promise<void> {
  await pipeline.sql.begin(async (tx) => {
    await tx`lock table blood in share mode`;
    await work();
  });
}

test("a deployment in the middle of a load lets it end with the code that it began with, and loses nothing", async () => {
  const first = await versionsOfMachine();
  const project = await changeProject(join(deployed.folder, "second-project"));
  const assembly = await synthesize(deployed, "second", { context: deployed.context, project });
  await whileLocked(async () => {
    await drop(inTheMiddle, [subjectsOf("MID"), bloodsOf("MID")]);
    await commitWaits();
    const deployment = deploy(deployed, assembly);
    await drop(meanwhile, [subjectsOf("MEAN")]);
    expect(await deployment).toEqual(deployed.outputs);
    expect(await pipeline.state(inTheMiddle)).toBe("loading");
  });
  expect(await pipeline.settled(inTheMiddle, "loaded")).toMatchObject({ records_read: 6, records_loaded: 6 });
  expect(await pipeline.settled(meanwhile, "loaded")).toMatchObject({ records_read: 3, records_loaded: 3 });
  await pipeline.quiet();

  const second = await versionsOfMachine();
  expect(second).toHaveLength(7);
  expect(second.filter((version) => first.includes(version))).toEqual([]);
  const called = await versionsCalledFor(inTheMiddle);
  expect(called.length).toBeGreaterThan(0);
  expect(called.filter((version) => !first.includes(version))).toEqual([]);
});

test("what comes after it is loaded by the new code and by the new contracts", async () => {
  const contracts = (await pipeline.json(contractsKey)) as { tables: { blood: object } };
  expect(contracts.tables.blood).toMatchObject({ update_strategy: "upsert" });
  await drop(afterwards, [bloodsOf("MID", { volume_ml: 77 })]);
  expect(await pipeline.settled(afterwards, "loaded")).toMatchObject({ records_read: 3, records_updated: 3 });
  await pipeline.quiet();
  const second = await versionsOfMachine();
  expect((await versionsCalledFor(afterwards)).filter((version) => !second.includes(version))).toEqual([]);
  expect(await brokenRules(pipeline)).toEqual({});
});

test("the deployment before it comes back, without a loss", async () => {
  await deploy(deployed, join(deployed.folder, "first"));
  expect(await pipeline.json(contractsKey)).toMatchObject({ tables: { blood: { update_strategy: "insert_only" } } });
  await drop(back, [bloodsOf("MID", { volume_ml: 78 })]);
  expect(await pipeline.settled(back, "loaded")).toMatchObject({ records_read: 3, records_skipped: 3 });
  await pipeline.quiet();
  expect(await brokenRules(pipeline)).toEqual({});
});
