import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  attemptsOf,
  nothingLoaded,
  queueOf,
  sampleLoaded,
  stageBroken,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { finish } from "./lab/drive.ts";
import type { Act, Exchange } from "./lab/exchanges.ts";
import { expectInvariants } from "./lab/invariants.ts";
import { type Lab, openLab } from "./lab/lab.ts";

/** The database's side dies: a backend, the server, or the way to it. The sandboxes survive all of it. */

let lab: Lab;
beforeAll(async () => {
  lab = await openLab();
});
afterEach(() => lab.network.heal());
afterAll(() => lab.close());

async function expectLoaded(batch: TestBatch): Promise<void> {
  await lab.quiet();
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await queueOf(lab, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  // a new round of the same execution abandons what it had begun
  expect((await attemptsOf(lab, batch)).filter((state) => state !== "abandoned")).toEqual(["loaded"]);
  await expectInvariants(lab);
  expect(lab.sandboxes.deaths).toEqual([]);
}

type Place = { readonly place: string; readonly when: (exchange: Exchange) => boolean };

const places: Place[] = [
  { place: "in the middle of COPY", when: ({ text }) => text === "copy data" },
  { place: "in the middle of the merge", when: ({ text }) => text.startsWith('insert into "public"."blood"') },
  { place: "at COMMIT", when: ({ by, text }) => by === "commit-batch" && text === "commit" && merged() },
  { place: "in the middle of the archive", when: copies },
  // what is noted of the first object must not be lost with a server of which nobody sees that it was gone
  { place: "between two objects of the archive", when: (exchange) => copies(exchange) && copied() === 2 },
];

function copies({ by, text }: Exchange): boolean {
  return by === "archive-fragments" && text.startsWith("PUT");
}
const copied = (): number => lab.network.exchanges.seen.filter(copies).length;
const merged = (): boolean =>
  lab.network.exchanges.seen.some(({ text }) => text.startsWith("update table_loader.batches set state = 'committed'"));

/** The loader's backends; where none is connected right now, there is nothing to kill. */
async function loaderBackends(): Promise<number[]> {
  const rows = await lab.sql<{ pid: number }[]>`
    select pid from pg_stat_activity
    where datname = current_database() and application_name <> 'tester' and backend_type = 'client backend'`;
  return rows.map(({ pid }) => pid);
}

const killers: Readonly<Record<string, () => Promise<void>>> = {
  "pg_terminate_backend, 57P01": async () => {
    for (const pid of await loaderBackends()) await lab.sql`select pg_terminate_backend(${pid}, 5000)`;
  },
  "SIGKILL to the backend, 57P02": async () => {
    const pids = await loaderBackends();
    await lab.server.killBackends(pids);
  },
  "SIGKILL to the server": async () => {
    await lab.loseDatabase("kill");
    await lab.restoreDatabase();
  },
  "immediate shutdown of the server": async () => {
    await lab.loseDatabase("crash");
    await lab.restoreDatabase();
  },
};

const deaths = Object.keys(killers).flatMap((how) => places.map((place) => ({ how, ...place })));

test.each(deaths)("D03 $how $place: the load goes on by itself, exactly", async ({ how, when }) => {
  const batch = await stageSample(lab);
  const died = lab.network.exchanges.on({ when, act: killers[how] as () => Promise<void> });
  const run = await lab.run({ batchId: batch.id });
  await died;
  expect(run).toMatchObject({ status: "SUCCEEDED", output: { status: "success", attempt: 1 } });
  await expectLoaded(batch);
});

test("a crash of the server empties the staging: the commit finds it out, and it is staged again", async () => {
  const batch = await stageSample(lab);
  const act = async (): Promise<void> => {
    // a checkpoint does not wait for the disk: here it is written, and only the rows are lost
    await lab.sql`select pg_logical_emit_message(true, 'test', 'written')`;
    await killers["immediate shutdown of the server"]?.();
  };
  const died = lab.network.exchanges.on({ when: ({ by, text }) => by === "commit-batch" && text === "startup", act });
  const { states, output } = await lab.run({ batchId: batch.id });
  await died;
  expect(states.join(" ")).toContain("CommitBatch Committed StageBatch StageFragments");
  expect(output).toMatchObject({ status: "success", records_read: 6, records_loaded: 6 });
  await expectLoaded(batch);
});

describe("what is rolled back leaves nothing that keeps the server from coming up after a crash", () => {
  const act = async (): Promise<void> => {
    // what was begun is on the disk, and that it is rolled back will not be
    await lab.sql`select pg_logical_emit_message(true, 'test', 'written')`;
    // nor will anybody who tries again write it
    await lab.network.refuseDatabase();
    await killers["pg_terminate_backend, 57P01"]?.();
    await killers["immediate shutdown of the server"]?.();
  };

  /** Of the function, from the first statement on that begins so. */
  function textsOf(name: string, beginning: string): string[] {
    const texts = lab.network.exchanges.seen.filter(({ by }) => by === name).map(({ text }) => text);
    const first = texts.findIndex((text) => text.startsWith(beginning));
    return first < 0 ? [] : texts.slice(first);
  }

  type Work = { readonly work: string; readonly texts: () => string[]; readonly makes: string };
  const works: Work[] = [
    {
      work: "planning",
      texts: () => textsOf("validate-batch", "insert into table_loader.plans"),
      makes: "create unlogged table",
    },
    {
      work: "judging",
      texts: () => textsOf("commit-batch", "insert into table_loader.commits"),
      makes: "create table",
    },
  ];

  test.each(works)("$work", async ({ texts, makes }) => {
    lab.network.exchanges.reset();
    await lab.run({ batchId: (await stageSample(lab)).id });
    const steps = texts();
    const making = steps.findIndex((text) => text.includes(makes));
    expect(making).toBeGreaterThan(0);
    // it is asked for, it is there, and everything is done but COMMIT
    for (const nth of [making + 1, making + 2, steps.length]) {
      const batch = await stageSample(lab);
      lab.network.exchanges.reset();
      const died = lab.network.exchanges.on({ when: () => texts().length === nth, act });
      const run = await lab.run({ batchId: batch.id });
      await died;
      expect(run).toMatchObject({ status: "SUCCEEDED", output: { status: "success", attempt: 1 } });
      await expectLoaded(batch);
    }
  });
});

describe("the reply to a COMMIT is lost", () => {
  type Kind = { readonly what: string; readonly stage: () => Promise<TestBatch>; readonly by: RegExp };
  const kinds: Kind[] = [
    { what: "of a load", stage: () => stageSample(lab), by: /./ },
    { what: "of a batch that fails", stage: () => stageBroken(lab), by: /^(commit|fail|archive|close)/ },
  ];

  async function commitsOf({ stage, by }: Kind): Promise<number[]> {
    const batch = await stage();
    lab.network.exchanges.reset();
    await lab.run({ batchId: batch.id });
    const commits = lab.network.exchanges.seen.filter((one) => one.text === "commit" && by.test(one.by ?? ""));
    return commits.map(({ number }) => number);
  }

  test.each(kinds)("any one $what: it is found out, and nothing happens twice", { timeout: 240_000 }, async (kind) => {
    const isGood = kind.by.test("validate-batch");
    await commitsOf(kind);
    const numbers = await commitsOf(kind);
    const wrong: object[] = [];
    for (const number of numbers) {
      const batch = await kind.stage();
      lab.network.exchanges.reset();
      const lost = lab.network.exchanges.on({ when: (one) => one.number === number, act: "reset-after" });
      const { status, error } = await lab.run({ batchId: batch.id });
      const { by } = await lost;
      const sweeps = await finish(lab, batch);
      const left = await batch.probe();
      // a claim that took effect, and whose reply was lost, is claimed again
      const attempts = (await attemptsOf(lab, batch)).filter((state) => state !== "abandoned");
      const ended = { status, sweeps, left, attempts };
      const good = { status: "SUCCEEDED", sweeps: 0, left: sampleLoaded, attempts: ["loaded"] };
      const failed = { status: "FAILED", sweeps: 0, left: nothingLoaded, attempts: ["failed"] };
      if (JSON.stringify(ended) !== JSON.stringify(isGood ? good : failed)) wrong.push({ number, by, error, ...ended });
    }
    expect(wrong).toEqual([]);
    expect(numbers.length).toBeGreaterThan(10);
    await expectInvariants(lab);
    expect(lab.sandboxes.deaths).toEqual([]);
  });
});

describe("a connection dies while it is made", () => {
  const ways: { readonly way: string; readonly act: Act }[] = [
    { way: "before the server has heard of it", act: "reset-before" },
    { way: "before it is ready", act: "reset-after" },
  ];

  test.each(ways)("$way: the process survives, and the task is tried again", async ({ act }) => {
    for (const by of ["validate-batch", "stage-fragments", "commit-batch", "archive-fragments", "close-batch"]) {
      const batch = await stageSample(lab);
      const died = lab.network.exchanges.on({ when: (one) => one.by === by && one.text === "startup", act });
      const run = await lab.run({ batchId: batch.id });
      await died;
      expect(run).toMatchObject({ status: "SUCCEEDED", output: { status: "success" } });
      await expectLoaded(batch);
    }
  });

  test.each([1, 9, 60, 200])("after %i bytes from the server: the process survives", async (afterBytes) => {
    const batch = await stageSample(lab);
    lab.network.database.cut = { direction: "down", afterBytes, times: 2 };
    expect(await lab.run({ batchId: batch.id })).toMatchObject({ status: "SUCCEEDED" });
    await expectLoaded(batch);
  });
});

test("D01 the database is away for a while: blocked, and it goes on by itself", async () => {
  const batch = await stageSample(lab);
  await lab.loseDatabase("stop");
  const { arn } = lab.machine.start(`${batch.id}-away`, JSON.stringify({ batchId: batch.id }));
  // rounds without a pause: there may be many by the time one is seen
  await expect.poll(() => lab.machine.find(arn)?.states).toContain("BlockedWait");
  await lab.restoreDatabase();
  expect(await lab.machine.settle(arn)).toMatchObject({ status: "SUCCEEDED" });
  await expectLoaded(batch);
});
