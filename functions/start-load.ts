import { z } from "zod";
import { taskHandler } from "../lib/aws/task-handler.ts";
import { startLoad } from "../lib/steps/start-load.ts";
import { openStartLoad } from "../lib/wiring.ts";

const sqsEvent = z.object({ Records: z.array(z.object({ messageId: z.string(), body: z.string() })) });

/** Invoked by SQS with the objects that arrived in staging. */
export const handler = taskHandler({
  name: "StartLoad",
  request: sqsEvent,
  open: async () => {
    const ports = openStartLoad();
    return {
      ports,
      async close() {
        ports.executions.close();
        ports.deadLetters.close();
      },
    };
  },
  step: startLoad,
});
