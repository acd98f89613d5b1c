import { loadedPrefixOf, stagingPrefixOf } from "../../core/keys.ts";
import type { SampleFragment } from "../sample/types.ts";
import type { DemoIo } from "./demo-io.ts";
import { archiveText, indent, queueText, stagedText } from "./show.ts";
import type { Stage } from "./stage.ts";

export const firstBatchId = "batch_20260101_120000";

/** An approved batch arrives and loads by itself. */
export async function loadFirst(stage: Stage, io: DemoIo, fragments: readonly SampleFragment[]): Promise<void> {
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
