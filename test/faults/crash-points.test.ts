import { afterAll, beforeAll, expect, test } from "vitest";
import type { CrashPoint } from "../../lib/core/ports.ts";
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
import { sweepOnce } from "../support/crash.ts";
import { bloods, subjects } from "../support/records.ts";
import { crashAt, finish } from "./lab/drive.ts";
import { expectInvariants } from "./lab/invariants.ts";
import { type Lab, openLab } from "./lab/lab.ts";

/** The sandbox is killed by SIGKILL at every place that has a name, and its execution is lost with it. */

const mebibyte = 1024 ** 2;

let lab: Lab;
beforeAll(async () => {
  lab = await openLab({ bucketLimits: { largestCopyBytes: mebibyte, copyPartBytes: 5 * mebibyte } });
});
afterAll(() => lab.close());

const loading = { state: "loading", fence: 1, targets: nothingLoaded, attempts: ["abandoned", "loaded"] };
const atStart = { ...loading, state: "waiting", attempts: ["loaded"] };
const committed = { ...loading, state: "committed", targets: sampleLoaded };
const archived = { ...committed, state: "archived" };

type Death = {
  readonly id: string;
  readonly point: CrashPoint;
  readonly time?: number;
  /** How batch and targets are right after; `attempts` at the end. */
  readonly left: typeof loading;
  /**
   * The objects in the archive and in staging right after, by file. Several are moved at a time: null where each of them
   * is in one place, or in both.
   */
  readonly objects: { readonly loaded: readonly string[]; readonly staged: readonly string[] } | null;
};

const both = ["blood.json", "subject.json"];
const inStaging = { loaded: [], staged: both };
const inArchive = { loaded: both, staged: [] };

const deaths: Death[] = [
  { id: "K02 after the claim", point: "after-claim", left: atStart, objects: inStaging },
  { id: "K02 after the plan", point: "after-plan", left: loading, objects: inStaging },
  { id: "K03 in the middle of COPY", point: "mid-copy", left: loading, objects: inStaging },
  { id: "K03 in the middle of the second COPY", point: "mid-copy", time: 2, left: loading, objects: inStaging },
  { id: "K03 after COPY, before its commit", point: "after-copy", left: loading, objects: inStaging },
  { id: "K03 after COPY, before the merge", point: "before-commit", left: loading, objects: inStaging },
  { id: "K04 after the merge, before COMMIT", point: "after-merge", left: loading, objects: inStaging },
  { id: "K06, K11 after COMMIT, before the archive", point: "after-commit", left: committed, objects: inStaging },
  { id: "K07 before the first copy", point: "before-archive-copy", left: committed, objects: null },
  {
    id: "K08 after the copy, before the delete",
    point: "before-archive-delete",
    left: committed,
    objects: null,
  },
  { id: "K08 after the move of one object", point: "after-archive-copy", left: committed, objects: null },
  { id: "K08 after all moves", point: "after-archive", left: committed, objects: inArchive },
  { id: "K12 before the report", point: "before-report", left: archived, objects: inArchive },
  {
    id: "K11, K12 after the report, before the batch is closed",
    point: "after-report",
    left: archived,
    objects: { loaded: ["blood.json", "load_result.json", "subject.json"], staged: [] },
  },
];

async function filesBelow(prefix: string): Promise<string[]> {
  return (await lab.current(prefix)).map((key) => key.slice(prefix.length));
}

/** Loaded once, archived, reported, and nothing else of it anywhere. */
async function expectLoaded(batch: TestBatch): Promise<void> {
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await queueOf(lab, batch)).toEqual({ subject: "loaded", blood: "loaded" });
  expect(await filesBelow(batch.key(""))).toEqual([]);
  expect(await filesBelow(`loaded/${batch.id}/`)).toEqual(["blood.json", "load_result.json", "subject.json"]);
  await expectInvariants(lab);
}

test.each(deaths)("$id: nothing in halves, and the successor finishes exactly", async ({ left, objects, ...where }) => {
  const batch = await stageSample(lab);
  expect(await crashAt(lab, batch, where)).toMatchObject({ signal: "SIGKILL" });
  expect(await ledgerOf(lab, batch)).toMatchObject({ state: left.state, fence: left.fence });
  expect(await batch.probe()).toEqual(left.targets);
  const found = { loaded: await filesBelow(`loaded/${batch.id}/`), staged: await filesBelow(batch.key("")) };
  if (objects) expect(found).toEqual(objects);
  else expect([...new Set([...found.loaded, ...found.staged])].toSorted()).toEqual(both);

  expect(await finish(lab, batch)).toBe(1);
  expect(await ledgerOf(lab, batch)).toMatchObject({ state: "loaded", fence: left.fence + 1, attempt: 1 });
  expect(await attemptsOf(lab, batch)).toEqual(left.attempts);
  await expectLoaded(batch);
});

test("K01 before the claim: no trace, and the sweep loads it", async () => {
  const batch = await stageSample(lab);
  await crashAt(lab, batch, { point: "before-claim" });
  expect(await ledgerOf(lab, batch)).toBeUndefined();
  expect(await sweepOnce(lab)).toMatchObject({ started: [batch.id], runs: [{ status: "SUCCEEDED" }] });
  await lab.quiet();
  await expectLoaded(batch);
});

test("K11, K12 after the batch is closed: nothing is left to do", async () => {
  const batch = await stageSample(lab);
  await crashAt(lab, batch, { point: "after-close" });
  expect(await sweepOnce(lab)).toMatchObject({ started: [] });
  expect(await attemptsOf(lab, batch)).toEqual(["loaded"]);
  await lab.quiet();
  await expectLoaded(batch);
});

test.each<CrashPoint>(["before-archive-delete", "after-archive-copy", "before-report"])(
  "a batch that fails, killed %s: the successor ends it as failed, with the same error log",
  async (point) => {
    const batch = newBatch(lab);
    for (const table of ["subject", "blood"]) await lab.queueRow({ batchId: batch.id, table, approved: true });
    await batch.drop("subject.json", subjects(batch.prefix, 3));
    await batch.drop("blood.json", bloods(batch.prefix, 3, { tube_type: "bucket" }));
    await crashAt(lab, batch, { point });
    expect(await ledgerOf(lab, batch)).toMatchObject({ state: "failing" });
    await finish(lab, batch);
    expect(await batch.probe()).toEqual(nothingLoaded);
    expect(await attemptsOf(lab, batch)).toEqual(["abandoned", "failed"]);
    expect(await lab.json(`failed/${batch.id}/error_log.json`)).toMatchObject({ batch_id: batch.id });
    expect(await lab.json(`failed/${batch.id}/load_result.json`)).toMatchObject({ status: "failed" });
    await expectInvariants(lab);
  },
);

test("an execution that goes on after the death of its sandbox needs no sweep", async () => {
  const batch = await stageSample(lab);
  const { goOn } = await crashAt(lab, batch, { point: "after-merge", execution: "goes on" });
  await lab.quiet();
  goOn();
  expect(await finish(lab, batch)).toBe(0);
  expect(await attemptsOf(lab, batch)).toEqual(["loaded"]);
  await expectLoaded(batch);
});

test("K07 between two parts of a copy: the source is intact, the successor copies anew and leaves no parts", async () => {
  const batch = newBatch(lab);
  for (const table of ["subject", "blood"]) await lab.queueRow({ batchId: batch.id, table, approved: true });
  await batch.drop("subject.json", `${JSON.stringify(subjects(batch.prefix, 3))}${" ".repeat(6 * mebibyte)}`);
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  await crashAt(lab, batch, { point: "mid-archive-copy" });
  expect(await batch.probe()).toEqual(sampleLoaded);
  expect(await filesBelow(batch.key(""))).toContain("subject.json");
  expect(await filesBelow(`loaded/${batch.id}/`)).not.toContain("subject.json");
  expect(await lab.bucket.uploads()).toBe(1);
  await finish(lab, batch);
  await expectLoaded(batch);
});
