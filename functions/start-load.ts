import { z } from "zod";
import { taskHandler } from "../lib/aws/task-handler.ts";
import { startLoad } from "../lib/steps/start-load.ts";
import { openIntake } from "../lib/wiring.ts";

const sqsEvent = z.object({ Records: z.array(z.object({ messageId: z.string(), body: z.string() })) });

/** SQS: what arrived in staging. Its clients are kept for the next invocation, so nothing is closed. */
export const handler = taskHandler({
  name: "StartLoad",
  request: sqsEvent,
  open: async () => ({ ports: openIntake(), close: async () => {} }),
  step: startLoad,
});
