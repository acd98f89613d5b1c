import { groupSources } from "../core/batch.ts";
import type { ExecutionInput } from "../core/execution.ts";
import type { Run } from "../core/run.ts";
import { numberWorkers, wantedWorkers } from "../core/workers.ts";
import { findSources } from "./find-sources.ts";
import { sizesOf } from "./plan-load.ts";
import { answer, emptyRun, noDeclarations, planBody, toItems, type ValidateAnswer } from "./planning.ts";
import type { ValidatePorts } from "./validate-batch.ts";

const firstEpoch = 1;

/**
 * Plans a dry run: no approval, no claim, no batch row. It works on a plan of its own, beside a load if there is one,
 * and leaves nothing but its report.
 */
export async function planPreview(
  ports: ValidatePorts,
  input: ExecutionInput,
  execution: string,
): Promise<ValidateAnswer> {
  const wanted = { batchId: input.batchId, epoch: firstEpoch, retry: input.action === "retry", lookInArchive: true };
  const tables = groupSources(await findSources(ports, wanted)).filter(
    ({ table, fragments }) => fragments.length > 0 && (!input.tables || input.tables.includes(table)),
  );
  if (tables.length === 0) {
    const message = `batch ${input.batchId} has no fragment to preview; drop fragments below its staging prefix first`;
    return answer("refused", emptyRun(input.batchId), { code: "BATCH_EMPTY", message });
  }
  const { body, fault } = await planBody(ports, input, { tables, held: [], ...noDeclarations });
  if (fault) return answer("refused", emptyRun(input.batchId), fault);
  const runId = ports.newId();
  const ids = { batchId: input.batchId, epoch: firstEpoch, attempt: 0, fence: 0, runId };
  const items = toItems(tables).filter(({ kind }) => kind === "fragment");
  const planId = await ports.plans.create({ ...ids, kind: "preview", source: input.source, body, items, workers: 0 });
  const workers = await ports.turns.assign(planId, wantedWorkers(sizesOf(items)));
  const run: Run = { ...ids, kind: "preview", planId, workers: numberWorkers(workers) };
  ports.log.info("preview planned", { batchId: input.batchId, runId, execution });
  return answer("stage", run);
}
