import { errorNames, type Fault, parseFault } from "../core/errors.ts";
import { previewKey } from "../core/keys.ts";
import { kinds } from "../core/kinds.ts";
import type { Answer } from "../core/machine.ts";
import type { ObjectStore } from "../core/objects.ts";
import type { Attempts, Claims, Log, Plans } from "../core/ports.ts";
import { toFailedPreview } from "../core/preview.ts";
import type { FailRequest, Run } from "../core/run.ts";

/** FailBatch: marks a batch that failed by its own fault, unless it was committed after all. */

type FailPorts = {
  readonly attempts: Attempts;
  readonly store: Pick<ObjectStore, "write">;
  readonly log: Log;
};

type FailAnswer = { readonly next: Answer<"FailBatch"> };

export async function failBatch(ports: FailPorts, { run, error }: FailRequest): Promise<FailAnswer> {
  const fault = parseFault(messageOf(error.Cause), errorNames.permanent);
  ports.log.warn("batch failed", { batchId: run.batchId, code: fault.code });
  if (kinds[run.kind].report === "preview") {
    const report = JSON.stringify(toFailedPreview(run, fault), null, 2);
    await ports.store.write(previewKey(run.batchId, run.runId), report);
    return { next: "close" };
  }
  const ended = await ports.attempts.fail(run, fault);
  return { next: ended === "compared" ? "close" : "archive" };
}

/** The message in `Cause`, which is JSON text of Lambda's error, or of a Pass state the message itself. */
function messageOf(cause: string): string {
  try {
    const parsed: unknown = JSON.parse(cause);
    const message = (parsed as { errorMessage?: unknown } | null)?.errorMessage;
    return typeof message === "string" ? message : cause;
  } catch {
    return cause;
  }
}

/** Notes why a load does not move. If the disk is full, its staged rows are dropped, and staged again later. */
export async function noteBlocked(
  { claims, plans }: { claims: Pick<Claims, "noteBlocked">; plans: Pick<Plans, "emptyStaging"> },
  { run, execution }: { readonly run: Run; readonly execution: string },
  fault: Fault,
): Promise<void> {
  const { fenced, stages } = kinds[run.kind];
  try {
    await claims.noteBlocked(execution, fault);
  } finally {
    if (fault.code === "DB_DISK_FULL" && fenced && stages) await plans.emptyStaging(run);
  }
}
