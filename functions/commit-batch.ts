import { taskHandler } from "../lib/aws/task-handler.ts";
import { taskRequest } from "../lib/core/run.ts";
import { commitBatch } from "../lib/steps/commit-batch.ts";
import { noteBlocked } from "../lib/steps/fail-batch.ts";
import { openLoader } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "CommitBatch",
  request: taskRequest,
  open: openLoader,
  step: commitBatch,
  onBlocked: noteBlocked,
});
