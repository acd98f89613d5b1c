import { errorNames, type Fault, parseFault } from "../core/errors.ts";
import { previewKey } from "../core/keys.ts";
import type { Answer } from "../core/machine.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { Attempts, Log } from "../core/ports.ts";
import { toFailedPreview } from "../core/preview.ts";
import type { FailRequest } from "../core/run.ts";

/** FailBatch: marks a batch that failed by its own fault, unless it was committed after all. */

export type FailPorts = {
  readonly attempts: Attempts;
  readonly store: Pick<ObjectStore, "write">;
  readonly log: Log;
};

export type FailAnswer = { readonly next: Answer<"FailBatch"> };

export async function failBatch(ports: FailPorts, { run, error }: FailRequest): Promise<FailAnswer> {
  const fault = readCause(error.Cause);
  ports.log.warn("batch failed", { batchId: run.batchId, code: fault.code });
  if (run.kind === "preview") {
    const report = JSON.stringify(toFailedPreview(run, fault), null, 2);
    await ports.store.write(previewKey(run.batchId, run.runId), report);
    return { next: "close" };
  }
  const ended = await ports.attempts.fail(run, fault);
  return { next: ended === "compared" ? "close" : "archive" };
}

/** Step Functions hands over the Lambda's error as JSON text in Cause, a Pass state only its message. */
function readCause(cause: string): Fault {
  return parseFault(messageOf(cause), errorNames.permanent);
}

function messageOf(cause: string): string {
  try {
    const parsed: unknown = JSON.parse(cause);
    const message = (parsed as { errorMessage?: unknown } | null)?.errorMessage;
    return typeof message === "string" ? message : cause;
  } catch {
    return cause;
  }
}
