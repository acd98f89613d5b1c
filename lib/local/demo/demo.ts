import { setTimeout as pause } from "node:timers/promises";
import { settings } from "../../config.ts";
import { executionInput } from "../../core/execution.ts";
import { errorLogKey, failedPrefixOf, loadedPrefixOf, previewRunId, stagingPrefixOf } from "../../core/keys.ts";
import type { RejectedRecord } from "../../core/operations.ts";
import { type Outcome, readOutcome } from "../../core/outcome.ts";
import type { Preview } from "../../core/preview.ts";
import { brokenBatch, sampleBatch, secondBatch } from "../sample/sample-batch.ts";
import { type BrokenRecord, defaultSampleSize, type SampleFragment, type SampleOptions } from "../sample/values.ts";
import { archiveText, compare, indent, queueText, stagedText, wrap } from "./show.ts";
import { type DemoIo, openStage, type Stage } from "./stage.ts";

type DemoResult = {
  /** True if the preview predicted the result of the load, and the broken records were named. */
  readonly agreed: boolean;
  readonly batches: number;
  readonly seconds: number;
};

/** The clock is fixed, so that every run shows the same records. */
const options: SampleOptions = { ...defaultSampleSize, now: new Date("2026-01-01T12:00:00Z") };
const smaller = { ...options, seed: 3, subjects: 100, samplesPerTable: 100 };

/** Shows the loader in about half a minute: a load, a preview with its load, a redelivery, and rejected records. */
export async function runDemo(io: DemoIo): Promise<DemoResult> {
  const start = performance.now();
  io.say("Table Loader: a temporary PostgreSQL, a bucket, a queue and the state machine start on this machine ...");
  const stage = await openStage(io);
  try {
    const { bucket, database } = settings();
    io.say(
      `ready after ${seconds(start)} s: bucket ${bucket}, database ${database.name} at ${database.host}:${database.port}`,
    );
    await loadFirst(stage, io, sampleBatch(options));
    const predicted = await loadSecond(stage, io, secondBatch(options));
    const named = await loadThird(stage, io, brokenBatch(smaller));
    io.say(closingText(seconds(start)));
    return { agreed: predicted && named, batches: 3, seconds: Number(seconds(start)) };
  } finally {
    await stage.close();
  }
}

function seconds(start: number): string {
  return ((performance.now() - start) / 1000).toFixed(1);
}

function closingText(total: string): string {
  return `
Done in ${total} s; everything of it is removed again. Try next:

  npx table-loader local         the same, to stay: with psql, aws and your own files
  npx table-loader local seed    (in another terminal) subjects to refer to, and example files
  npx table-loader --help        all commands`;
}

const firstBatchId = "batch_20260101_120000";

/** An approved batch arrives and loads by itself. */
async function loadFirst(stage: Stage, io: DemoIo, fragments: readonly SampleFragment[]): Promise<void> {
  io.say(`\n1  A batch of ten tables arrives, approved by the validator: ${firstBatchId}\n`);
  const ended = stage.next(firstBatchId, "loaded", "failed");
  await stage.drop(firstBatchId, fragments, true);
  io.say(
    `  ${fragments.length} objects are in ${stagingPrefixOf(firstBatchId)}; their events start the load by themselves`,
  );
  const outcome = await ended;
  if (outcome.kind !== "loaded") throw new Error(`DEMO_FAILED: ${JSON.stringify(outcome)}`);
  const { result } = outcome;
  io.say(`\n${indent(io.counts(result.tables, result))}`);
  io.say("\n  Fragments are moved only after their rows are committed:\n");
  io.say(stagedText(stage, stagingPrefixOf(firstBatchId)));
  io.say(archiveText(stage, loadedPrefixOf(firstBatchId, 1)));
  io.say(`\n  The queue knows it:\n\n${await queueText(stage, io, firstBatchId)}`);
}

const secondBatchId = "batch_20260101_130000";
const redelivered = "lcl";

/** A batch that waits for approval is previewed, approved, loaded, and then delivered again in part. */
async function loadSecond(stage: Stage, io: DemoIo, batch: ReturnType<typeof secondBatch>): Promise<boolean> {
  io.say(`\n2  A second batch brings new, changed, repeated and older records: ${secondBatchId}\n`);
  const waiting = stage.next(secondBatchId, "waiting");
  await stage.drop(secondBatchId, batch.fragments, false);
  const waits = await waiting;
  io.say(`  not approved yet, so it waits: ${"code" in waits ? waits.code : ""}`);
  io.say("\n  A preview is the real load, rolled back (table-loader preview):\n");
  const predicted = await preview(stage);
  io.say("\n  Approved by hand (table-loader approve), it loads:\n");
  await stage.operate({ operation: "approve", batchId: secondBatchId, approvedBy: "demo" });
  const outcome = await run(stage, false);
  if (outcome.kind !== "loaded") throw new Error(`DEMO_FAILED: ${JSON.stringify(outcome)}`);
  const { text, agreed } = compare(io, predicted, outcome.result, batch.expected);
  io.say(`\n${text}`);
  io.say(agreed ? "\n  The preview said what the load did." : "\n  THE PREVIEW DID NOT SAY WHAT THE LOAD DID.");
  return (await redeliver(stage, io, batch.fragments)) && agreed;
}

async function preview(stage: Stage): Promise<Preview> {
  const outcome = await run(stage, true);
  if (outcome.kind !== "previewed") throw new Error(`DEMO_FAILED: ${JSON.stringify(outcome)}`);
  const runId = previewRunId(outcome.result.report_key ?? "");
  const { report } = await stage.operate({ operation: "preview", batchId: secondBatchId, runId });
  if (report === null) throw new Error(`DEMO_FAILED: the preview ${runId} is gone`);
  return report;
}

const pollMilliseconds = 100;

/** Runs one execution as the CLI does, through the operate function. */
async function run({ operate }: Stage, dryRun: boolean): Promise<Outcome> {
  for (;;) {
    const input = executionInput.parse({ batchId: secondBatchId, dryRun });
    const { executionArn } = await operate({ operation: "start", input });
    let state = await operate({ operation: "execution", executionArn });
    while (state.status === "RUNNING") {
      await pause(pollMilliseconds);
      state = await operate({ operation: "execution", executionArn });
    }
    const outcome = readOutcome(state);
    // the execution of an arrival may hold the batch for a moment
    if (outcome.kind !== "busy") return outcome;
  }
}

async function redeliver(stage: Stage, io: DemoIo, fragments: readonly SampleFragment[]): Promise<boolean> {
  const again = fragments.find(({ table }) => table === redelivered);
  if (!again) throw new Error(`DEMO_FAILED: there is no fragment of ${redelivered}`);
  io.say(`\n  ${again.fileName} is delivered once more:\n`);
  const ended = stage.next(secondBatchId, "loaded", "failed");
  await stage.put(secondBatchId, again);
  const outcome = await ended;
  const recognised = outcome.kind === "loaded" && outcome.result.status === "already_processed";
  const archived = stage.environment.bucket
    .keys(loadedPrefixOf(secondBatchId, 1))
    .find((key) => key.includes("/duplicates/"));
  io.say(
    recognised ? `\n  recognised: already_processed, no row was written; kept as\n  ${archived}` : "\n  NOT RECOGNISED",
  );
  return recognised;
}

const thirdBatchId = "batch_20260101_140000";

/** Three broken records fail a batch as a whole, and error_log.json names each. */
async function loadThird(stage: Stage, io: DemoIo, batch: ReturnType<typeof brokenBatch>): Promise<boolean> {
  io.say(`\n3  A third batch has three broken records: ${thirdBatchId}\n`);
  const ended = stage.next(thirdBatchId, "loaded", "failed");
  await stage.drop(thirdBatchId, batch.fragments, true);
  const outcome = await ended;
  if (outcome.kind !== "failed")
    throw new Error(`DEMO_FAILED: expected a failed batch, got ${JSON.stringify(outcome)}`);
  io.say(`\n${indent(wrap(`${outcome.code}: ${outcome.message}`))}\n`);
  const { key, report } = await stage.operate({ operation: "errors", batchId: thirdBatchId });
  const rejected = report?.rejected_records ?? [];
  io.say(
    `  ${key ?? errorLogKey(failedPrefixOf(thirdBatchId, 1))} says which and why:\n\n${indent(rejectedText(rejected))}\n`,
  );
  io.say(archiveText(stage, failedPrefixOf(thirdBatchId, 1)));
  io.say("\n  Mended fragments go into staging again, then: table-loader approve --no-load, table-loader retry");
  return areNamed(batch.broken, rejected);
}

function rejectedText(rejected: readonly RejectedRecord[]): string {
  const lines = rejected.map(
    ({ key, record, field, code, got, expected }) =>
      `${fileOf(key)} record ${record}: ${code}\n  ${field} got ${got}\n  expected ${expected}`,
  );
  return lines.join("\n");
}

function fileOf(key: string): string {
  return key.slice(stagingPrefixOf(thirdBatchId).length);
}

/** True if the rejects are exactly the broken records, each at its place. */
function areNamed(broken: readonly BrokenRecord[], rejected: readonly RejectedRecord[]): boolean {
  const places = new Set(rejected.map(({ key, record, code }) => [fileOf(key), record, code].join(" ")));
  return (
    places.size === broken.length &&
    broken.every(({ fileName, record, code }) => places.has([fileName, record, code].join(" ")))
  );
}
