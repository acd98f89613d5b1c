import { errorLogKey, failedPrefixOf, stagingPrefixOf } from "../../core/keys.ts";
import type { RejectedRecord } from "../../core/operations.ts";
import type { brokenBatch } from "../sample/broken-batch.ts";
import type { BrokenRecord } from "../sample/types.ts";
import type { DemoIo } from "./demo-io.ts";
import { archiveText, indent, wrap } from "./show.ts";
import type { Stage } from "./stage.ts";

const thirdBatchId = "batch_20260101_140000";

/** Three broken records fail a batch as a whole, and error_log.json names each. */
export async function loadThird(stage: Stage, io: DemoIo, batch: ReturnType<typeof brokenBatch>): Promise<boolean> {
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

/** Those and no others, each at its place. */
function areNamed(broken: readonly BrokenRecord[], rejected: readonly RejectedRecord[]): boolean {
  const places = new Set(rejected.map(({ key, record, code }) => [fileOf(key), record, code].join(" ")));
  return (
    places.size === broken.length &&
    broken.every(({ fileName, record, code }) => places.has([fileName, record, code].join(" ")))
  );
}
