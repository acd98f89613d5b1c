import { taskHandler } from "../lib/aws/task-handler.ts";
import { taskRequest } from "../lib/core/run.ts";
import { archiveFragments } from "../lib/steps/archive-fragments.ts";
import { openLoader } from "../lib/wiring.ts";

export const handler = taskHandler({
  name: "ArchiveFragments",
  request: taskRequest,
  open: openLoader,
  step: archiveFragments,
  onBlocked: (ports, { execution }, fault) => ports.claims.noteBlocked(execution, fault),
});
