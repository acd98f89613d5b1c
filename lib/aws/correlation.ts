import { z } from "zod";

const id = z
  .union([z.string().transform((text) => text.slice(0, 128)), z.number()])
  .optional()
  .catch(undefined);
const none = {};

/** The ids in an event of the machine, wherever they stand in it; whatever is no id is left out. */
const ids = z.object({
  batchId: id,
  execution: id,
  worker: id,
  input: z.object({ batchId: id }).catch(none),
  run: z.object({ batchId: id, runId: id, planId: id, fence: id, epoch: id, attempt: id }).catch(none),
});

/** What a log line carries so that all lines of a batch, an execution or a plan can be found. */
export function correlationOf(event: unknown): Record<string, string | number> {
  const parsed = ids.catch({ input: none, run: none }).parse(event);
  const { input, run, ...top } = parsed;
  const found = Object.entries({ ...input, ...run, ...top }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(found) as Record<string, string | number>;
}
