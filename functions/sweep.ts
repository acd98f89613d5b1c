import { z } from "zod";
import { taskHandler } from "../lib/aws/task-handler.ts";
import { sweep } from "../lib/steps/sweep.ts";
import { openStarter } from "../lib/wiring.ts";

/** Neither the schedule's event nor that of an execution's end says anything that the sweep needs. */
export const handler = taskHandler({
  name: "Sweep",
  request: z.unknown(),
  open: openStarter,
  step: sweep,
});
