import { taskHandler } from "../lib/aws/task-handler.ts";
import { taskRequest } from "../lib/core/run.ts";
import { closeBatch } from "../lib/steps/close-batch.ts";
import { openLoader } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "CloseBatch",
  request: taskRequest,
  open: openLoader,
  step: closeBatch,
  onBlocked: (ports, { execution }, fault) => ports.claims.noteBlocked(execution, fault),
});
