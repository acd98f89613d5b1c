import type { Source } from "../core/batch.ts";
import { decideBatch } from "../core/decide.ts";
import { type Fault, TransientError } from "../core/errors.ts";
import { type ExecutionInput, executionInput } from "../core/execution.ts";
import { parseExecutionInput } from "../core/execution-input.ts";
import type { ObjectStore } from "../core/objects.ts";
import { hashOf, loaderVersion, planWorkers } from "../core/plan.ts";
import type {
  BatchRecords,
  CatalogReader,
  Claim,
  Claims,
  ContractStore,
  Log,
  Plan,
  Plans,
  Reach,
  WorkItems,
} from "../core/ports.ts";
import type { Run, ValidateRequest } from "../core/run.ts";
import { readFacts } from "./facts.ts";
import { planPreview } from "./plan-preview.ts";
import {
  answer,
  type ChosenTables,
  emptyRun,
  noDeclarations,
  planBody,
  toItems,
  totalsOf,
  type ValidateAnswer,
} from "./planning.ts";
import { surveyFailed, surveyStaging, toSeenObject } from "./survey.ts";

/** ValidateBatch: claims the batch, checks it, plans the load, and answers where to go on. */

export type ValidatePorts = {
  readonly claims: Claims;
  readonly records: BatchRecords;
  readonly contracts: ContractStore;
  readonly catalog: CatalogReader;
  readonly plans: Plans;
  readonly items: WorkItems;
  readonly store: ObjectStore;
  readonly log: Log;
  readonly reach: Reach;
  readonly newId: () => string;
  readonly settings: ValidateSettings;
};

export type ValidateSettings = {
  readonly batchIdPattern: RegExp;
  readonly requireApproval: boolean;
  readonly batchSize: number;
  readonly maxRecordsPerBatch: number | null;
};

/** What one execution knows of its batch while it is validated. */
type Visit = { readonly input: ExecutionInput; readonly execution: string; readonly claim: Claim };

export async function validateBatch(ports: ValidatePorts, request: ValidateRequest): Promise<ValidateAnswer> {
  const { input, fault } = parseExecutionInput(request.input, ports.settings.batchIdPattern);
  if (fault) return answer("refused", emptyRun(""), fault);
  const unsupported = refuseUnsupported(input);
  if (unsupported) return answer("refused", emptyRun(input.batchId), unsupported);
  if (input.dryRun) return planPreview(ports, input, request.execution);
  await ports.reach("before-claim");
  const claim = await ports.claims.claim({ batchId: input.batchId, owner: request.execution, source: input.source });
  if (!claim) return busy(ports, input);
  await ports.reach("after-claim");
  const visit = { input: claim.looksAgain ? afterWake(input) : input, execution: request.execution, claim };
  return goOn(ports, visit);
}

/** What was asked for by hand is done: this look is for whatever arrived meanwhile. */
function afterWake({ batchId }: ExecutionInput): ExecutionInput {
  return executionInput.parse({ batchId, source: "arrival" });
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

async function busy(ports: ValidatePorts, { batchId, source }: ExecutionInput): Promise<ValidateAnswer> {
  const message = `batch ${batchId} is being loaded by another execution, which looks again before it ends`;
  await ports.records.recordOutcome(batchId, { code: "BATCH_BUSY", message, source });
  return answer("busy", emptyRun(batchId), { code: "BATCH_BUSY", message });
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

/** Goes on with an interrupted load; null where it has to be planned again. */
async function resume(ports: ValidatePorts, visit: Visit, plan: Plan): Promise<ValidateAnswer | null> {
  const { claim } = visit;
  if (plan.body.loaderVersion !== loaderVersion || (await catalogHashNow(ports, plan)) !== plan.body.catalogHash) {
    await ports.plans.discard(plan.planId);
    return null;
  }
  const run = await adopt(ports, visit);
  if (claim.idleTakeovers < maxIdleTakeovers) return answer("stage", run);
  const message = `${claim.idleTakeovers} executions in a row took over the load without getting any further`;
  return answer("fail", run, { code: "LOAD_NO_PROGRESS", message });
}

async function catalogHashNow(ports: ValidatePorts, plan: Plan): Promise<string> {
  const tables = plan.body.tables.map(({ table }) => table);
  return hashOf([...(await ports.catalog.read(tables)).values()]);
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
    workers: planWorkers(pending),
  };
}

const maxWakes = 5;

async function decide(ports: ValidatePorts, visit: Visit, wakes = 0): Promise<ValidateAnswer> {
  const { input, claim } = visit;
  const at = { batchId: input.batchId, epoch: claim.epoch, state: claim.state };
  const facts = await readFacts(ports, at, await survey(ports, visit));
  const decision = decideBatch(facts, input);
  const declared = { manifests: facts.manifests, totals: totalsOf(facts.queue) };
  if (decision.do === "load") return planLoad(ports, visit, { kind: "load", ...decision, ...declared });
  if (decision.do === "compare")
    return planLoad(ports, visit, { kind: "compare", held: [], tables: decision.tables, ...noDeclarations });
  const waiting = decision.do === "wait" ? decision : null;
  const released = await ports.claims.release({ batchId: input.batchId, fence: claim.fence }, waiting);
  if (released === "again") {
    if (wakes === maxWakes) throw new TransientError("BATCH_WAKES", `batch ${input.batchId} is woken again and again`);
    const again = await ports.claims.claim({ batchId: input.batchId, owner: visit.execution, source: input.source });
    return again ? decide(ports, { ...visit, claim: again }, wakes + 1) : busy(ports, input);
  }
  return settle(ports, input, decision);
}

/** Records what came to nothing. A manual start of what is not ready is refused, an automatic one waits. */
async function settle(
  ports: ValidatePorts,
  input: ExecutionInput,
  decision: Fault & { readonly do: "wait" | "already_processed" | "failed_before" },
): Promise<ValidateAnswer> {
  const repeated = decision.do === "already_processed" && input.source === "arrival";
  const code = repeated ? "EVT_DUPLICATE" : decision.code;
  await ports.records.recordOutcome(input.batchId, { code, message: decision.message, source: input.source });
  const run = emptyRun(input.batchId);
  if (decision.do === "already_processed") return answer("already_processed", run, { code, message: decision.message });
  const next = input.source === "manual" ? "refused" : "wait";
  return answer(next, run, { code, message: decision.message });
}

async function survey(ports: ValidatePorts, { input, claim }: Visit): Promise<Source[]> {
  const staged = await surveyStaging(ports.store, input.batchId);
  await ports.records.recordSeen(input.batchId, claim.epoch, staged.map(toSeenObject));
  if (input.action !== "retry") return staged;
  const seen = await ports.records.seenVersions(input.batchId, claim.epoch);
  const failed = await surveyFailed(ports.store, seen, staged);
  // Their copies are versions of their own: a second failure has to find them in the ledger.
  await ports.records.recordSeen(input.batchId, claim.epoch, failed.map(toSeenObject));
  return [...staged, ...failed];
}

type Chosen = ChosenTables & { readonly kind: "load" | "compare" };

async function planLoad(ports: ValidatePorts, visit: Visit, chosen: Chosen): Promise<ValidateAnswer> {
  const { input, execution, claim } = visit;
  const { body, fault } = await planBody(ports, input, chosen);
  const items = toItems(chosen.tables);
  // Planned again after a takeover or a change of catalog or approval, it is still the same attempt.
  const attempt = claim.state === "loading" ? claim.attempt : claim.attempt + 1;
  const ids = { batchId: input.batchId, epoch: claim.epoch, attempt, fence: claim.fence, runId: execution };
  const planId = await ports.plans.create({ ...ids, kind: chosen.kind, source: input.source, body, items });
  await ports.reach("after-plan");
  const sizes = items.filter(({ kind }) => kind === "fragment").map(({ object }) => object.size);
  const run: Run = { ...ids, kind: chosen.kind, planId, workers: planWorkers(sizes) };
  return fault ? answer("fail", run, fault) : answer("stage", run);
}
