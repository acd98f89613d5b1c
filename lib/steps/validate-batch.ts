import type { Source } from "../core/batch.ts";
import { decideBatch } from "../core/decide.ts";
import { type Fault, TransientError } from "../core/errors.ts";
import { type ExecutionInput, executionInput, parseExecutionInput } from "../core/execution.ts";
import { hashOf, loaderVersion, type Plan } from "../core/plan.ts";
import type { Claims, WorkItems } from "../core/ports.ts";
import type { Run, ValidateRequest } from "../core/run.ts";
import type { UncommittedObjects } from "../core/sweep-ports.ts";
import { numberWorkers, type Turn, wantedWorkers } from "../core/workers.ts";
import {
  findArchivedSources,
  findSources,
  findStagedSources,
  readFacts,
  toSeenObject,
  without,
} from "./find-sources.ts";
import {
  answer,
  answerLater,
  askAgain,
  emptyRun,
  inLine,
  noDeclarations,
  type PlanningPorts,
  planComparison,
  planLoad,
  planPreview,
  takeTurn,
  totalsOf,
  type ValidateAnswer,
  type Visit,
} from "./plan-load.ts";

/** ValidateBatch: claims the batch, decides what to do with it, plans that, and answers the state to go on with. */

export type ValidatePorts = PlanningPorts & {
  readonly claims: Claims;
  readonly uncommitted: Pick<UncommittedObjects, "record">;
  readonly items: WorkItems;
  readonly settings: { readonly batchIdPattern: RegExp };
};

export async function validateBatch(ports: ValidatePorts, request: ValidateRequest): Promise<ValidateAnswer> {
  const { input, fault } = parseExecutionInput(request.input, ports.settings.batchIdPattern);
  if (fault) return answer("refused", emptyRun(""), fault);
  const unsupported = refuseUnsupported(input);
  if (unsupported) return answer("refused", emptyRun(input.batchId), unsupported);
  if (input.dryRun) return planPreview(ports, input, request.execution);
  await ports.crashPoint("before-claim");
  const claim = await ports.claims.claim({ batchId: input.batchId, owner: request.execution, source: input.source });
  if (!claim) return busy(ports, input, request.execution);
  await ports.crashPoint("after-claim");
  // After an attempt, the request itself is done: the batch is looked at for objects that arrived meanwhile.
  const asked = claim.looksAgain ? executionInput.parse({ batchId: input.batchId, source: "arrival" }) : input;
  return goOn(ports, { input: asked, execution: request.execution, claim });
}

function refuseUnsupported({ action, targetWarehouse }: ExecutionInput): Fault | null {
  if (action === "rollback") {
    return {
      code: "ROLLBACK_NOT_AVAILABLE",
      message: "rollback is not available in this version; undo images are kept",
    };
  }
  if (targetWarehouse && targetWarehouse !== "postgres") {
    return { code: "TARGET_UNSUPPORTED", message: `targetWarehouse ${targetWarehouse}: expected postgres` };
  }
  return null;
}

async function busy(
  ports: ValidatePorts,
  { batchId, source }: ExecutionInput,
  execution: string,
): Promise<ValidateAnswer> {
  // The execution that holds the batch finds that this one waits for its turn, and leaves the load to it.
  if (await ports.turns.waits(batchId, execution)) return answerLater(batchId, askAgain);
  const message = `batch ${batchId} is being loaded by another execution, which looks again before it ends`;
  const fault = { code: "BATCH_BUSY", message };
  await ports.records.recordOutcome(batchId, { ...fault, source });
  return answer("busy", emptyRun(batchId), fault);
}

async function goOn(ports: ValidatePorts, visit: Visit): Promise<ValidateAnswer> {
  const { claim } = visit;
  if (claim.state === "committed" || claim.state === "failing") return answer("archive", await adopt(ports, visit));
  if (claim.state === "archived") return answer("close", await adopt(ports, visit));
  // A batch that is loaded has a plan only while a redelivery is compared.
  const plan = claim.planId === null ? null : await ports.plans.read(claim.planId);
  if (!plan) return decide(ports, visit);
  const { options } = plan.body;
  return (await resume(ports, visit, plan)) ?? decide(ports, { ...visit, input: { ...visit.input, ...options } });
}

const maxIdleTakeovers = 3;

/** Goes on with an interrupted load; null if it has to be planned again. */
async function resume(ports: ValidatePorts, visit: Visit, plan: Plan): Promise<ValidateAnswer | null> {
  const { claim } = visit;
  if (claim.aborted) return answer("fail", await adopt(ports, visit), claim.aborted);
  if (await isOutdated(ports, visit, plan)) {
    await ports.plans.discard(plan.planId);
    return null;
  }
  const run = await adopt(ports, visit);
  if (claim.idleTakeovers < maxIdleTakeovers) {
    await ports.plans.ensureStaging(plan);
    return answer("stage", run);
  }
  const message = `${claim.idleTakeovers} executions in a row took over the load without getting any further`;
  return answer("fail", run, { code: "LOAD_NO_PROGRESS", message });
}

async function isOutdated(ports: ValidatePorts, visit: Visit, plan: Plan): Promise<boolean> {
  if (plan.body.loaderVersion !== loaderVersion) return true;
  const catalog = await ports.catalog.read(plan.body.tables.map(({ table }) => table));
  return hashOf([...catalog.values()]) !== plan.body.catalogHash || (await isArchived(ports, visit, plan));
}

/** True if fragments of the plan are archived: they were loaded, and the ledger was restored to an earlier time. */
async function isArchived(ports: ValidatePorts, { input, claim }: Visit, { planId }: Plan): Promise<boolean> {
  const at = { batchId: input.batchId, epoch: claim.epoch };
  const seen = await ports.records.seenVersions(at.batchId, at.epoch);
  const archived = await findArchivedSources(ports, { ...at, seen });
  if (archived.length === 0) return false;
  const gone = without(archived, await findStagedSources(ports.store, at.batchId));
  const items = new Map((await ports.items.list(planId)).map(({ stagedKey, object }) => [stagedKey, object.key]));
  return gone.some(({ stagedKey, object }) => items.has(stagedKey) && items.get(stagedKey) !== object.key);
}

async function adopt(ports: ValidatePorts, { input, execution, claim }: Visit): Promise<Run> {
  const planId = claim.planId ?? 0;
  await ports.plans.adopt({ batchId: input.batchId, fence: claim.fence, planId }, input.source);
  const plan = await ports.plans.read(planId);
  const items = await ports.items.list(planId);
  const pending = items.filter(({ state }) => state === "pending").map(({ object }) => object.size);
  return {
    batchId: input.batchId,
    kind: plan?.kind ?? "load",
    planId,
    fence: claim.fence,
    epoch: claim.epoch,
    attempt: plan?.attempt ?? claim.attempt,
    runId: execution,
    workers: numberWorkers(pending.length === 0 ? 1 : await ports.turns.assign(planId, wantedWorkers(pending))),
  };
}

const maxWakes = 5;

async function decide(ports: ValidatePorts, visit: Visit, wakes = 0): Promise<ValidateAnswer> {
  const { input, claim } = visit;
  const at = { batchId: input.batchId, epoch: claim.epoch, state: claim.state };
  const facts = await readFacts(ports, at, await findSourcesOf(ports, visit));
  const decision = decideBatch(facts, input);
  if (decision.do === "compare")
    return planComparison(ports, visit, { held: [], tables: decision.tables, ...noDeclarations });
  if (decision.do !== "load") {
    const waiting = decision.do === "wait" ? decision : null;
    return letGo(ports, visit, { waiting, wakes, end: () => settle(ports, visit, decision) });
  }
  const chosen = { ...decision, manifests: facts.manifests, totals: totalsOf(facts.queue) };
  const turn = await takeTurn(ports, visit, { ...chosen, queue: facts.queue });
  if (turn.turn === "now") return planLoad(ports, visit, { ...chosen, workers: turn.workers });
  const waiting = "ahead" in turn ? inLine(input.batchId, turn.ahead) : null;
  return letGo(ports, visit, { waiting, wakes, end: () => endTurn(ports, visit, turn) });
}

type LettingGo = {
  readonly waiting: Fault | null;
  readonly wakes: number;
  readonly end: () => ValidateAnswer | Promise<ValidateAnswer>;
};

/** Gives the claim back and ends, unless something arrived meanwhile: then the batch is decided anew. */
async function letGo(ports: ValidatePorts, visit: Visit, { waiting, wakes, end }: LettingGo): Promise<ValidateAnswer> {
  const { input, claim, execution } = visit;
  const { batchId, source } = input;
  if ((await ports.claims.release({ batchId, fence: claim.fence }, waiting)) === "released") return end();
  if (wakes === maxWakes) throw new TransientError("BATCH_WAKES", `batch ${batchId} is woken again and again`);
  const again = await ports.claims.claim({ batchId, owner: execution, source });
  return again ? decide(ports, { ...visit, claim: again }, wakes + 1) : busy(ports, input, execution);
}

function endTurn(
  ports: ValidatePorts,
  { input, execution }: Visit,
  turn: Exclude<Turn, { readonly turn: "now" }>,
): ValidateAnswer | Promise<ValidateAnswer> {
  if (turn.turn === "elsewhere") return busy(ports, input, execution);
  if (turn.turn === "later") return answerLater(input.batchId, turn);
  return answer(endOf(input), emptyRun(input.batchId), inLine(input.batchId, turn.ahead));
}

/** The answer for a batch that is not ready: the sweep goes on after an automatic start, a manual one is refused. */
const endOf = ({ source }: ExecutionInput): "refused" | "wait" => (source === "manual" ? "refused" : "wait");

/** Records that the execution had no effect. A manual start of a batch that is not ready is refused, others wait. */
async function settle(
  ports: ValidatePorts,
  { input, claim }: Visit,
  decision: Fault & { readonly do: "wait" | "already_processed" | "failed_before" },
): Promise<ValidateAnswer> {
  const repeated = decision.do === "already_processed" && input.source === "arrival";
  const fault = { code: repeated ? "EVT_DUPLICATE" : decision.code, message: decision.message };
  await ports.records.recordOutcome(input.batchId, { ...fault, source: input.source });
  const run = emptyRun(input.batchId);
  if (decision.do === "already_processed") return answer("already_processed", run, fault);
  // This very execution ended the batch as failed, and its last answer was lost: it ends as failed, too.
  const ownFailure = decision.do === "failed_before" && claim.looksAgain;
  return answer(ownFailure ? "refused" : endOf(input), run, fault);
}

async function findSourcesOf(ports: ValidatePorts, { input, claim }: Visit): Promise<Source[]> {
  const { batchId } = input;
  const { epoch } = claim;
  const sources = await findSources(ports, { batchId, epoch, retry: input.action === "retry", lookInArchive: true });
  const uncommitted = sources.filter(({ origin }) => origin === "archive");
  const others = sources.filter(({ origin }) => origin !== "archive");
  // Copies in failed/ are versions of their own: a second failure has to find them in the ledger.
  await ports.records.recordSeen(batchId, epoch, others.map(toSeenObject));
  if (uncommitted.length > 0)
    await ports.uncommitted.record({ batchId, epoch, objects: uncommitted.map(toSeenObject) });
  return sources;
}
