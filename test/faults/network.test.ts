import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { randomExecutionName } from "../../lib/local/interpreter.ts";
import {
  attemptsOf,
  ledgerOf,
  newBatch,
  nothingLoaded,
  queueOf,
  sampleLoaded,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { bloods, subjects } from "../support/records.ts";
import type { FalseAnswer } from "./lab/faulty-s3.ts";
import { expectInvariants } from "./lab/invariants.ts";
import { type Lab, openLab } from "./lab/lab.ts";

/** The ways to database and bucket are slow, cut or silent, and S3 answers something else. */

let lab: Lab;
beforeAll(async () => {
  lab = await openLab({
    bucketLimits: { idleMilliseconds: 300 },
    timeLimits: { "stage-fragments": 8, "archive-fragments": 8 },
  });
});
afterEach(async () => {
  await lab.network.heal();
  lab.sandboxes.forgetDeaths();
});
afterAll(() => lab.close());

async function expectLoaded(batch: TestBatch): Promise<void> {
  await lab.quiet();
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await queueOf(lab, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  expect((await attemptsOf(lab, batch)).filter((state) => state !== "abandoned")).toEqual(["loaded"]);
  await expectInvariants(lab);
}

const bloodOf = (batch: TestBatch) => (asked: string) =>
  asked.startsWith("GET") && asked.includes(batch.key("blood.json"));

test("latency on both ways: slower, and nothing else", async () => {
  const batch = await stageSample(lab);
  lab.network.database.latencyMilliseconds = 5;
  lab.network.bucket.latencyMilliseconds = 5;
  expect(await lab.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  await expectLoaded(batch);
});

const cuts = (["database", "bucket"] as const).flatMap((link) =>
  (["up", "down"] as const).flatMap((direction) =>
    [700, 4_000, 12_000].map((afterBytes) => ({ link, direction, afterBytes })),
  ),
);

test.each(cuts)("the way to the $link is cut after $afterBytes bytes $direction", async ({ link, ...cut }) => {
  const batch = await stageSample(lab);
  const fault = { ...cut, times: 2 };
  lab.network[link].cut = fault;
  expect(await lab.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  await expectLoaded(batch);
  expect(lab.sandboxes.deaths).toEqual([]);
});

test("the database falls silent in the middle of COPY: the function is ended, and the task is tried again", async () => {
  const batch = await stageSample(lab);
  const silent = lab.network.exchanges.on({ when: ({ text }) => text === "copy data", act: "hold" });
  expect(await lab.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
  await silent;
  expect(lab.sandboxes.deaths).toMatchObject([{ name: "stage-fragments", signal: "SIGKILL" }]);
  await expectLoaded(batch);
});

describe("the way to the bucket falls silent, and no end of it is told", () => {
  const silence = { direction: "down", times: 1, ending: "silence" } as const;

  test("in the middle of a body: it is read again, and loaded once", async () => {
    const records = 1_000;
    const batch = newBatch(lab);
    for (const table of ["subject", "blood"]) await lab.queueRow({ batchId: batch.id, table, approved: true });
    await batch.drop("subject.json", subjects(batch.prefix, records));
    await batch.drop("blood.json", bloods(batch.prefix, records));
    // far more than anything else that a connection brings
    const cut = { ...silence, afterBytes: 60_000 };
    lab.network.bucket.cut = cut;
    const run = await lab.run({ batchId: batch.id });
    expect(run).toMatchObject({ status: "SUCCEEDED", output: { records_read: 2 * records } });
    expect(cut.times).toBe(0);
    expect(lab.sandboxes.output()).toContain("S3_STALLED");
    await lab.quiet();
    expect(await batch.probe()).toMatchObject({ subjects: records, bloods: records });
    await expectInvariants(lab);
    expect(lab.sandboxes.deaths).toEqual([]);
  });

  test("in the middle of a copy: the function is ended, and the archive goes on where it was", async () => {
    const batch = await stageSample(lab);
    const cut = { ...silence, afterBytes: 1 };
    const act = async (): Promise<void> => {
      lab.network.bucket.cut = cut;
    };
    const isCopy = (by: string | null, text: string): boolean => by === "archive-fragments" && text.startsWith("PUT");
    const copied = lab.network.exchanges.on({ when: ({ by, text }) => isCopy(by, text), act });
    expect(await lab.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
    await copied;
    expect(cut.times).toBe(0);
    expect(lab.sandboxes.deaths).toMatchObject([{ name: "archive-fragments", signal: "SIGKILL" }]);
    await expectLoaded(batch);
  });
});

type Passing = { readonly id: string; readonly answer: FalseAnswer; readonly times: number };

const passing: Passing[] = [
  { id: "S01 503 SlowDown three times", answer: { status: 503, code: "SlowDown" }, times: 3 },
  { id: "S03 a reset in the middle of the body", answer: { bodyBytes: 100, ending: "reset" }, times: 2 },
  { id: "a body that ends early and cleanly", answer: { bodyBytes: 100, ending: "ends" }, times: 2 },
  { id: "a body that stalls", answer: { bodyBytes: 100, ending: "stalls" }, times: 1 },
  {
    id: "S17 a body that does not match its checksum",
    answer: { headers: { "x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT" } },
    times: 1,
  },
];

test.each(passing)("$id: it is read again, and loaded once", async ({ answer, times }) => {
  const batch = await stageSample(lab);
  const acted = lab.network.s3.on({ when: bloodOf(batch), answer, times });
  expect(await lab.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED", output: { records_read: 6 } });
  expect(acted()).toBe(times);
  await expectLoaded(batch);
  expect(lab.sandboxes.deaths).toEqual([]);
});

describe("S02 S3 refuses the fragments for as long as it takes", () => {
  test.each([
    { code: "S3_THROTTLED", answer: { status: 503, code: "SlowDown" } },
    { code: "S3_ACCESS", answer: { status: 403, code: "AccessDenied" } },
    { code: "S3_STORAGE_CLASS", answer: { status: 403, code: "InvalidObjectState" } },
  ])("$code: blocked, no transaction touches a target, and it goes on by itself", async ({ code, answer }) => {
    const batch = await stageSample(lab);
    lab.network.exchanges.reset();
    lab.network.s3.on({ when: bloodOf(batch), answer });
    const { arn } = lab.machine.start(randomExecutionName(), JSON.stringify({ batchId: batch.id }));
    await expect.poll(() => waits(arn), { timeout: 60_000 }).toBeGreaterThan(0);
    const merges = lab.network.exchanges.seen.filter(({ text }) => /"public"\."(subject|blood)" as t/.test(text));
    expect(merges).toEqual([]);
    expect(await batch.probe()).toEqual(nothingLoaded);
    expect(await attemptCodes(batch)).not.toContain("failed");
    lab.network.s3.reset();
    expect(await lab.machine.settle(arn)).toMatchObject({ status: "SUCCEEDED" });
    expect(code).toBe(await reasonLogged(code));
    await expectLoaded(batch);
  });

  const waits = (arn: string): number =>
    lab.machine.find(arn)?.states.filter((state) => state === "BlockedWait").length ?? 0;
  const attemptCodes = async (batch: TestBatch) => [
    (await ledgerOf(lab, batch))?.state,
    ...(await attemptsOf(lab, batch)),
  ];
  const reasonLogged = async (code: string) => (lab.sandboxes.output().includes(`"${code}"`) ? code : null);
});

test("S06 the object is replaced between listing and reading: the version that was planned is loaded", async () => {
  const batch = await stageSample(lab);
  const replace = async (): Promise<void> => {
    await batch.drop("blood.json", bloods(batch.prefix, 3, { volume_ml: 99 }));
  };
  const read = lab.network.exchanges.on({ when: ({ text }) => bloodOf(batch)(text), act: replace });
  expect(await lab.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED", output: { records_loaded: 6 } });
  await read;
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await lab.current(batch.key(""))).toEqual([batch.key("blood.json")]);
  await expectLoaded(batch);
});
