import { z } from "zod";
import { runKind } from "./kinds.ts";

/** The ids that travel between the states of one execution. All else stands in the ledger, under the plan. */
export const runSchema = z.object({
  batchId: z.string(),
  kind: runKind,
  /** 0 if there is no plan, as for a batch that only has to be closed. */
  planId: z.number().int(),
  /** The fence of the claim, which every effect compares. 0 for a preview, which claims nothing. */
  fence: z.number().int(),
  epoch: z.number().int(),
  attempt: z.number().int(),
  runId: z.string(),
  workers: z.array(z.number().int()),
});

export type Run = z.infer<typeof runSchema>;

/** Number of waits of the execution for its environment; from the first on, a transient fault is a blocked load. */
const rounds = z.number().int().default(0);

export const validateRequest = z.object({ input: z.unknown(), execution: z.string(), rounds });
const onRun = z.object({ run: runSchema, execution: z.string() });
export const taskRequest = onRun.extend({ rounds });
export const stageRequest = onRun.extend({ worker: z.number().int() });
export const failRequest = taskRequest.extend({
  error: z.object({ Error: z.string(), Cause: z.string().default("") }),
});

export type ValidateRequest = z.input<typeof validateRequest>;
export type TaskRequest = z.input<typeof taskRequest>;
export type StageRequest = z.input<typeof stageRequest>;
export type FailRequest = z.output<typeof failRequest>;
