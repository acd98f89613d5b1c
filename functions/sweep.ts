import { z } from "zod";
import { taskHandler } from "../lib/aws/task-handler.ts";
import { sweep } from "../lib/steps/sweep.ts";
import { openStarter } from "../lib/wiring.ts";

/** Ignores its events, of the schedule and of the end of an execution: the sweep needs nothing of them. */
export const handler = taskHandler({
  name: "Sweep",
  request: z.unknown(),
  open: openStarter,
  step: sweep,
});
