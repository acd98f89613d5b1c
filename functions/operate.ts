import { taskHandler } from "../lib/aws/task-handler.ts";
import { operateRequest } from "../lib/core/operations.ts";
import { operate } from "../lib/steps/operate.ts";
import { openOperator } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "Operate",
  request: operateRequest,
  open: openOperator,
  step: operate,
});
