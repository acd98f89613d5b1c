import { z } from "zod";
import { taskHandler } from "../lib/aws/task-handler.ts";
import { openMigrator } from "../lib/wiring.ts";

/** Run by a deployment before the new version of the machine, with the master login. */
export const handler = taskHandler({
  name: "Migrate",
  request: z.unknown(),
  open: openMigrator,
  step: async (ports) => ({ applied: await ports.migrate() }),
});
