import { setTimeout as pause } from "node:timers/promises";
import { executionInput } from "../../core/execution.ts";
import { loadedPrefixOf, previewRunId } from "../../core/keys.ts";
import { type Outcome, readOutcome } from "../../core/outcome.ts";
import type { Preview } from "../../core/preview.ts";
import type { secondBatch } from "../sample/second-batch.ts";
import type { SampleFragment } from "../sample/types.ts";
import type { DemoIo } from "./demo-io.ts";
import { compare } from "./show.ts";
import type { Stage } from "./stage.ts";

const secondBatchId = "batch_20260101_130000";
const redelivered = "lcl";

/** A batch that waits for approval is previewed, approved, loaded, and then delivered again in part. */
export async function loadSecond(stage: Stage, io: DemoIo, batch: ReturnType<typeof secondBatch>): Promise<boolean> {
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
  const { text, agreed } = compare(io, { predicted, loaded: outcome.result, expected: batch.expected });
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

/** As the CLI does it: through the operate function, by hand. */
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
    // an arrival's execution may have the batch for a moment
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
