import { BlockedError } from "../core/errors.ts";
import type { Answer } from "../core/machine.ts";
import type { TaskRequest } from "../core/run.ts";

/**
 * RollbackBatch: not available yet. ValidateBatch refuses the action, so that a run that gets here is a fault of the
 * deployment: it blocks, and nothing is touched. Every commit keeps the undo images that a rollback will need.
 */
export async function rollbackBatch(_ports: object, { run }: TaskRequest): Promise<{ next: Answer<"RollbackBatch"> }> {
  throw new BlockedError("ROLLBACK_NOT_AVAILABLE", `rollback of ${run.batchId} is not available in this version`);
}
