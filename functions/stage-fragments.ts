import { taskHandler } from "../lib/aws/task-handler.ts";
import { stageRequest } from "../lib/core/run.ts";
import { stageFragments } from "../lib/steps/stage-fragments.ts";
import { openLoader } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "StageFragments",
  request: stageRequest,
  open: openLoader,
  step: stageFragments,
  onBlocked: (ports, { execution }, fault) => ports.claims.noteBlocked(execution, fault),
});
