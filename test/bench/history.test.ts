import { expect, test } from "vitest";
import { kindOf } from "../../bench/meter.ts";
import { manyBatches, mostOvertaken } from "../../bench/scale/experiments.ts";
import { openHistory } from "../../bench/scale/history.ts";
import { brokenClaims, type Figures, type Simulated } from "../../bench/scale/results.ts";

const definition = {
  StartAt: "Plan",
  States: {
    Plan: { Type: "Task" },
    Workers: { Type: "Map", ItemProcessor: { StartAt: "Work", States: { Work: { Type: "Task" } } } },
    Pick: { Type: "Choice" },
    Stop: { Type: "Fail" },
  },
};

test("events are counted as Step Functions counts them", () => {
  const history = openHistory(definition);
  const enter = (name: string, input: unknown = {}) => history.add({ type: "StateEntered", state: { name, input } });
  enter("Plan");
  history.add({ type: "StateRetried", state: { name: "Plan" } });
  enter("Pick");
  enter("Workers");
  for (const worker of [1, 2]) {
    history.add({ type: "MapIterationStarted" });
    enter("Work", { worker, text: "é" });
  }
  enter("Stop");
  // execution 2, task 5 and a second try 3, choice 2, map 4, two iterations of 2 with a task of 5 each, fail 1
  expect(history.total()).toEqual({
    events: 2 + 5 + 3 + 2 + 4 + 2 * (2 + 5) + 1,
    transitions: 1 + 6 + 1,
    largestPayload: Buffer.byteLength('{"worker":1,"text":"é"}'),
    retries: 1,
  });
});

test.each([
  ["GET", "/bucket?list-type=2&prefix=a", undefined, "list"],
  ["GET", "/bucket?versions&prefix=a", undefined, "list"],
  ["GET", "/bucket/key?versionId=1", undefined, "get"],
  ["HEAD", "/bucket/key", undefined, "head"],
  ["PUT", "/bucket/key?x-id=PutObject", undefined, "put"],
  ["PUT", "/bucket/key?x-id=CopyObject", "bucket/other", "copy"],
  ["DELETE", "/bucket/key", undefined, "delete"],
  ["POST", "/", undefined, null],
])("%s %s is a request to S3 of its kind", (method, path, source, kind) => {
  expect(kindOf({ method, path, getHeader: () => source } as never)).toBe(kind);
});

const batch = (approvedAt: number, startsAt = 0) => ({
  ...manyBatches({ batches: 1, secondsBetween: 1 })[0],
  approvedAt,
  startsAt,
});

test("a batch is overtaken by what was approved later and began earlier, while both stood in line", () => {
  const executions = [
    { batch: batch(1), admittedAt: 300 },
    { batch: batch(2), admittedAt: 200 },
    { batch: batch(3), admittedAt: 250 },
    { batch: batch(9), admittedAt: 10 }, // before the others had asked
  ];
  expect(mostOvertaken(executions as never)).toBe(2);
});

test("many batches are approved before any arrives, in an order of their own", () => {
  const batches = manyBatches({ batches: 50, secondsBetween: 2 });
  expect(new Set(batches.map(({ approvedAt }) => approvedAt)).size).toBe(50);
  expect(Math.max(...batches.map(({ approvedAt }) => approvedAt))).toBeLessThan(0);
  expect(batches.map(({ approvedAt }) => approvedAt)).not.toEqual(
    batches.map(({ approvedAt }) => approvedAt).toSorted((a, b) => a - b),
  );
  expect(batches.at(-1)?.startsAt).toBe(98);
});

const figures: Figures = {
  ...{ name: "as deployed", batches: 1, fragments: 4, records: 400, failed: 0, committedAfter: 1, endedAfter: 50_000 },
  ...{ events: 24_999, transitions: 10, largestPayload: 262_143, polls: 1, retries: 0, overtaken: 0, rows: 4 },
  ...{ usage: {}, mostConnections: 1, ledgerBytes: 1 },
};
const simulated: Simulated = { sizes: [figures], workers: [figures], setups: [figures], many: figures, line: figures };

test.each([
  ["events", { events: 25_000 }, 5],
  ["a payload", { largestPayload: 262_144 }, 4],
  ["a batch that was not loaded", { failed: 1 }, 4],
  ["a fragment without its row", { rows: 3 }, 2],
  ["a batch that was passed over", { overtaken: 20 }, 2],
  ["a place in line that was given up early", { endedAfter: 43_199 }, 1],
])("%s above the limit breaks a claim wherever it is looked at", (_what, change, times) => {
  const bad = { ...figures, ...change };
  expect(brokenClaims(simulated)).toEqual([]);
  expect(brokenClaims({ sizes: [bad], workers: [bad], setups: [bad], many: bad, line: bad })).toHaveLength(times);
});
