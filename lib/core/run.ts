import { z } from "zod";

/**
 * What travels between the states of one execution: ids only. Everything else stands in the ledger under the plan.
 */
export const runSchema = z.object({
  batchId: z.string(),
  kind: z.enum(["load", "compare", "preview", "rollback"]),
  /** 0 where there is no plan, as for a batch that only has to be closed. */
  planId: z.number().int(),
  /** Who may act: compared by every effect. 0 for a preview, which claims nothing. */
  fence: z.number().int(),
  epoch: z.number().int(),
  attempt: z.number().int(),
  runId: z.string(),
  workers: z.array(z.number().int()),
});

export type Run = z.infer<typeof runSchema>;

export const validateRequest = z.object({ input: z.unknown(), execution: z.string() });
export const taskRequest = z.object({ run: runSchema, execution: z.string() });
export const stageRequest = taskRequest.extend({ worker: z.number().int() });
export const failRequest = taskRequest.extend({
  error: z.object({ Error: z.string(), Cause: z.string().default("") }),
});

export type ValidateRequest = z.infer<typeof validateRequest>;
export type TaskRequest = z.infer<typeof taskRequest>;
export type StageRequest = z.infer<typeof stageRequest>;
export type FailRequest = z.infer<typeof failRequest>;
