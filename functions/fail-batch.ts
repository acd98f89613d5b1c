import { taskHandler } from "../lib/aws/task-handler.ts";
import { failRequest } from "../lib/core/run.ts";
import { failBatch } from "../lib/steps/fail-batch.ts";
import { openLoader } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "FailBatch",
  request: failRequest,
  open: openLoader,
  step: failBatch,
  onBlocked: (ports, { execution }, fault) => ports.claims.noteBlocked(execution, fault),
});
