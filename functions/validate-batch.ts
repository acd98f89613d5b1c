import { taskHandler } from "../lib/aws/task-handler.ts";
import { validateRequest } from "../lib/core/run.ts";
import { validateBatch } from "../lib/steps/validate-batch.ts";
import { openLoader } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "ValidateBatch",
  request: validateRequest,
  open: openLoader,
  step: validateBatch,
  onBlocked: (ports, { execution }, fault) => ports.claims.noteBlocked(execution, fault),
});
