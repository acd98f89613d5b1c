import { afterAll, beforeAll, expect, test } from "vitest";
import { sampleBatch } from "../../lib/local/sample/sample-batch.ts";
import type { SampleFragment } from "../../lib/local/sample/values.ts";
import { describeDeployed } from "../deploy/global-setup.ts";
import { openPipeline, type Pipeline } from "../deploy/pipeline.ts";
import { deploy, synthesize } from "../deploy/stack.ts";
import { until } from "../deploy/waiting.ts";
import { contextOf, openWorld, type World } from "../deploy/world.ts";
import { brokenRules } from "../support/invariants.ts";
import { type MotoServer, startMoto } from "../support/moto-server.ts";
import { bloods, subjects } from "../support/records.ts";
import { type Definition, deployedDefinition, type Interpreter, openInterpreter, thrown, visited } from "./machine.ts";

/** The deployed definition on a second interpreter, with the functions that are deployed on the emulator. */

const closing: (() => Promise<unknown>)[] = [];
let world: World;
let pipeline: Pipeline;
let interpreter: Interpreter;

beforeAll(async () => {
  // the interpreter signs its calls with keys that nobody has given out, and without TLS
  world = await openWorld({ guarded: false });
  closing.push(world.close);
  const assembly = await synthesize(world, "only", { context: contextOf(world) });
  const outputs = await deploy(world, assembly);
  pipeline = openPipeline(describeDeployed(world, outputs));
  closing.push(pipeline.close);
  const moto: MotoServer = await startMoto({ MOTO_PORT: new URL(world.emulator.endpoint).port });
  closing.push(moto.close);
  const definition = await deployedDefinition(pipeline.clients.sfn, outputs.StateMachineArn);
  interpreter = await openInterpreter(moto.endpoint, definition);
});
afterAll(async () => {
  for (const close of closing.toReversed()) await close();
});

let used = 0;

/** A batch in staging; the emulator's own machine has looked at it, and has found that nobody has approved it. */
async function staged(fragments: readonly SampleFragment[]): Promise<string> {
  used += 1;
  const batchId = `batch_20260106_${String(used).padStart(6, "0")}`;
  await pipeline.queue(batchId, fragments, false);
  await pipeline.drop(batchId, fragments);
  await until(`${batchId} to be known`, async () => (await pipeline.state(batchId)) === "waiting");
  await pipeline.quiet();
  await pipeline.sql`
    update validation_queue set approved_for_load = true, approved_by = 'tester', approved_at = clock_timestamp()
    where batch_id = ${batchId}`;
  return batchId;
}

const small = (prefix: string, more: object = {}): SampleFragment[] => [
  { table: "subject", fileName: "subject.json", body: JSON.stringify(subjects(prefix, 3)) },
  { table: "blood", fileName: "blood.json", body: JSON.stringify(bloods(prefix, 3, more)) },
];

/** Rounds of a blocked load that nobody has to wait half a minute for. */
function hasten({ States }: Definition): void {
  const { Begin } = States;
  if (Begin?.Parameters?.waitSeconds === undefined) throw new Error("Begin: expected waitSeconds, got none");
  Begin.Parameters.waitSeconds = 1;
}

test("loads a batch of the ten tables", async () => {
  const batchId = await staged(
    sampleBatch({ seed: 1, now: new Date("2026-01-01T00:00:00Z"), subjects: 5, samplesPerTable: 5 }),
  );
  const execution = await interpreter.start(await interpreter.create("Whole"), { batchId });
  const { status, output } = await interpreter.ended(execution);
  expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { status: "success", records_loaded: 50 } });
  expect(visited(await interpreter.history(execution))).toEqual(
    expect.arrayContaining(["ValidateBatch", "StageBatch", "StageFragments", "CommitBatch", "CloseBatch", "Loaded"]),
  );
  expect(await brokenRules(pipeline)).toEqual({});
});

test("catches the batch's own fault by its name, and fails with its code", async () => {
  const batchId = await staged(small("BAD", { tube_type: "bucket" }));
  const execution = await interpreter.start(await interpreter.create("Bad"), { batchId });
  expect(await interpreter.ended(execution)).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
  const events = await interpreter.history(execution);
  expect(thrown(events)).toEqual(["PermanentError"]);
  expect(visited(events)).toContain("FailBatch");
  expect(await pipeline.keys(`failed/${batchId}/error_log.json`)).toHaveLength(1);
  expect(await brokenRules(pipeline)).toEqual({});
});

test("tries a passing fault again by its name, then waits, round after round, until it is gone", async () => {
  const batchId = await staged(small("AWAY"));
  const machine = await interpreter.create("Away", hasten);
  await world.stopDatabase();
  const execution = await interpreter.start(machine, { batchId });
  const rounds = async (): Promise<number> =>
    visited(await interpreter.history(execution)).filter((name) => name === "BlockedWait").length;
  await until("the second round", async () => (await rounds()) >= 2);
  await world.startDatabase();
  expect(await interpreter.ended(execution)).toMatchObject({ status: "SUCCEEDED", output: { records_loaded: 6 } });
  const events = await interpreter.history(execution);
  // the first call and three more, before it waits
  expect(thrown(events).slice(0, 4)).toEqual(Array(4).fill("TransientError"));
  const states = visited(events);
  expect(states.indexOf("NotifyBlocked")).toBeLessThan(states.indexOf("BlockedWait"));
  expect(states.filter((name) => name === "NotifyBlocked")).toHaveLength(1);
  expect(await brokenRules(pipeline)).toEqual({});
});

test("gives up a task that runs too long, and loads once although that task still ran", async () => {
  const batchId = await staged(small("SLOW"));
  const machine = await interpreter.create("Slow", (definition) => {
    hasten(definition);
    const { CommitBatch } = definition.States;
    if (CommitBatch?.TimeoutSeconds === undefined) throw new Error("CommitBatch: expected TimeoutSeconds, got none");
    CommitBatch.TimeoutSeconds = 3;
  });
  let execution = "";
  await pipeline.sql.begin(async (tx) => {
    await tx`lock table blood in share mode`;
    execution = await interpreter.start(machine, { batchId });
    await until("the timeout", async () => thrown(await interpreter.history(execution)).includes("States.Timeout"));
  });
  expect(await interpreter.ended(execution)).toMatchObject({ status: "SUCCEEDED" });
  expect(await pipeline.settled(batchId, "loaded")).toMatchObject({ records_read: 6, records_loaded: 6 });
  const [row] = await pipeline.sql`
    select (select count(*)::integer from blood where sample_id like 'SLOW%') as bloods,
      (select count(*)::integer from table_loader.commits where batch_id = ${batchId}) as commits`;
  expect(row).toEqual({ bloods: 3, commits: 2 });
  expect(await brokenRules(pipeline)).toEqual({});
});
