import type { QueueRow, TableSources } from "../core/batch.ts";
import type { Fault } from "../core/errors.ts";
import type { PlanBody } from "../core/plan.ts";
import type { NewItem } from "../core/ports.ts";
import type { Run } from "../core/run.ts";
import { numberWorkers, secondsUntilAsked, type Turn, wantedWorkers } from "../core/workers.ts";
import { answer, type ChosenTables, emptyRun, planBody, toItems, type ValidateAnswer } from "./planning.ts";
import type { ValidatePorts, Visit } from "./validate-batch.ts";

/** How a load that may begin gets its turn, its plan and its workers. */

type Asking = { readonly tables: readonly TableSources[]; readonly queue: readonly QueueRow[] };

/** A load that is planned again keeps the place that it has; one that is planned only to fail needs none. */
export async function takeTurn(ports: ValidatePorts, visit: Visit, asking: Asking): Promise<Turn> {
  const wanted = wantedWorkers(sizesOf(toItems(asking.tables)));
  if (visit.claim.state === "loading" || visit.claim.aborted) return { turn: "now", workers: null };
  const { batchId } = visit.input;
  const approvedAt = lastApproval(asking) ?? new Date(0);
  return ports.turns.enter({ batchId, fence: visit.claim.fence, owner: visit.execution, approvedAt, wanted });
}

/** A batch is approved when the last of its tables is. */
function lastApproval({ tables, queue }: Asking): Date | null {
  const names = new Set(tables.map(({ table }) => table));
  const times = queue.flatMap(({ table, approvedAt }) => (names.has(table) && approvedAt ? [approvedAt] : []));
  return times.reduce<Date | null>((last, time) => (last === null || time > last ? time : last), null);
}

export function inLine(batchId: string, ahead: number): Fault {
  const message = `batch ${batchId} is ready, and waits until the database has room for it; ${ahead} batches are ahead of it`;
  return { code: "IN_LINE", message };
}

type Later = Turn & { readonly turn: "later" };

/** For an execution that stands in line and could not look how far it is. */
export const askAgain: Later = { turn: "later", ahead: 0, waitSeconds: secondsUntilAsked(0, 0) };

export function answerLater(batchId: string, turn: Later): ValidateAnswer {
  return { ...answer("later", emptyRun(batchId), inLine(batchId, turn.ahead)), waitSeconds: turn.waitSeconds };
}

export async function planLoad(
  ports: ValidatePorts,
  visit: Visit,
  chosen: ChosenTables & { readonly workers: number | null },
): Promise<ValidateAnswer> {
  const { body, fault: atFault } = await planBody(ports, visit.input, chosen);
  const fault = visit.claim.aborted ?? atFault;
  const items = toItems(chosen.tables);
  const run = await createPlan(ports, visit, { kind: "load", body, items, workers: chosen.workers });
  return fault ? answer("fail", run, fault) : answer("stage", run);
}

/** A redelivery is read and compared beside whatever else is loaded: it takes no turn, and what room there is. */
export async function planComparison(
  ports: ValidatePorts,
  visit: Visit,
  chosen: ChosenTables,
): Promise<ValidateAnswer> {
  const { body, fault } = await planBody(ports, visit.input, chosen);
  const items = toItems(chosen.tables);
  const run = await createPlan(ports, visit, { kind: "compare", body, items, workers: null });
  return fault ? answer("fail", run, fault) : answer("stage", run);
}

type Planning = {
  readonly kind: "load" | "compare";
  readonly body: PlanBody;
  readonly items: readonly NewItem[];
  /** Null where nobody has dealt them out yet. */
  readonly workers: number | null;
};

async function createPlan(ports: ValidatePorts, { input, execution, claim }: Visit, planning: Planning): Promise<Run> {
  // Planned again after a takeover or a change of catalog or approval, it is still the same attempt.
  const attempt = claim.state === "loading" ? claim.attempt : claim.attempt + 1;
  const ids = { batchId: input.batchId, epoch: claim.epoch, attempt, fence: claim.fence, runId: execution };
  const { kind, body, items } = planning;
  const source = input.source;
  const planId = await ports.plans.create({ ...ids, source, kind, body, items, workers: planning.workers ?? 0 });
  await ports.crashPoint("after-plan");
  const workers = planning.workers ?? (await ports.turns.assign(planId, wantedWorkers(sizesOf(items))));
  return { ...ids, kind, planId, workers: numberWorkers(workers) };
}

export function sizesOf(items: readonly NewItem[]): number[] {
  return items.filter(({ kind }) => kind === "fragment").map(({ object }) => object.size);
}
