import { taskHandler } from "../lib/aws/task-handler.ts";
import { stageRequest } from "../lib/core/run.ts";
import { noteBlocked } from "../lib/steps/fail-batch.ts";
import { stageFragments } from "../lib/steps/stage-fragments.ts";
import { openLoader } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "StageFragments",
  request: stageRequest,
  open: openLoader,
  step: stageFragments,
  onBlocked: noteBlocked,
});
