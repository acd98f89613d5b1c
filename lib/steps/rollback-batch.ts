import { BlockedError } from "../core/errors.ts";
import type { Answer } from "../core/machine.ts";
import type { TaskRequest } from "../core/run.ts";

type RollbackAnswer = { readonly next: Answer<"RollbackBatch"> };

/**
 * RollbackBatch: not available yet. ValidateBatch refuses the action before it gets here, so that arriving here is a
 * fault of the deployment: it blocks, and touches nothing. The undo images that it will need are kept by every commit.
 */
export async function rollbackBatch(_ports: object, { run }: TaskRequest): Promise<RollbackAnswer> {
  throw new BlockedError("ROLLBACK_NOT_AVAILABLE", `rollback of ${run.batchId} is not available in this version`);
}
