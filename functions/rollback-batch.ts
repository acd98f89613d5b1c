import { taskHandler } from "../lib/aws/task-handler.ts";
import { taskRequest } from "../lib/core/run.ts";
import { rollbackBatch } from "../lib/steps/rollback-batch.ts";
import { openLoader } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "RollbackBatch",
  request: taskRequest,
  open: openLoader,
  step: rollbackBatch,
});
