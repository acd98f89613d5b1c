import { commitReserveSeconds } from "../core/durations.ts";
import { BlockedError, PermanentError, TransientError } from "../core/errors.ts";
import { previewKey } from "../core/keys.ts";
import { kinds, type PlanKind } from "../core/kinds.ts";
import type { Answer } from "../core/machine.ts";
import type { ObjectStore } from "../core/objects.ts";
import { type Plan, planMissing } from "../core/plan.ts";
import type { Attempts, Claims, Commits, CrashPointHook, Judgement, Log, Plans, WorkItems } from "../core/ports.ts";
import { toPreview } from "../core/preview.ts";
import type { Run, TaskRequest } from "../core/run.ts";
import type { WorkItem } from "../core/work-item.ts";
import { fillRejectTexts } from "./reports.ts";
import type { ReadRecords } from "./stage-fragments.ts";
import { refuseLargeBatch, verifyCounts } from "./verify-counts.ts";

/** CommitBatch: judges and merges every staged record in one transaction, or says why it cannot. */

type CommitPorts = {
  readonly claims: Pick<Claims, "blockedBy">;
  readonly plans: Plans;
  readonly items: WorkItems;
  readonly commits: Commits;
  readonly attempts: Attempts;
  readonly store: ObjectStore;
  readonly read: ReadRecords;
  readonly log: Log;
  readonly crashPoint: CrashPointHook;
  readonly now: () => number;
  readonly settings: { readonly transactionTimeout: number; readonly maxRecordsPerBatch: number | null };
};

type CommitAnswer = { readonly next: Answer<"CommitBatch"> };

/** @param deadline milliseconds since the epoch, when this invocation ends */
export async function commitBatch(ports: CommitPorts, { run }: TaskRequest, deadline: number): Promise<CommitAnswer> {
  const plan = await ports.plans.read(run.planId);
  if (!plan) throw planMissing(run);
  const items = await ports.items.list(run.planId);
  const budget = Math.min(ports.settings.transactionTimeout, (deadline - ports.now()) / 1000 - commitReserveSeconds);
  await refusePending(ports, run, items);
  return endings[plan.kind](ports, { run, plan, items }, { deadline, budget });
}

type Time = {
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** Seconds that the transaction may take. */
  readonly budget: number;
};

type Ending = (ports: CommitPorts, staged: Staged, time: Time) => Promise<CommitAnswer>;

/** The last step of each kind of plan, for the records that were read. */
const endings: Readonly<Record<PlanKind, Ending>> = { load: commit, compare, preview };

/** Throws one error for all workers that stopped early: each of them noted in the ledger what blocks it. */
async function refusePending({ claims }: CommitPorts, run: Run, items: readonly WorkItem[]): Promise<void> {
  const pending = items.filter(({ state }) => state === "pending");
  if (pending.length === 0) return;
  const text = `${pending.length} fragments of ${run.batchId} are not staged yet; the workers stopped early`;
  if (!kinds[run.kind].fenced) throw new TransientError("STAGE_UNFINISHED", text);
  const fault = await claims.blockedBy(run.runId);
  throw fault ? new BlockedError(fault.code, fault.message) : new BlockedError("STAGE_UNFINISHED", text);
}

type Staged = { readonly run: Run; readonly plan: Plan; readonly items: readonly WorkItem[] };

async function commit(ports: CommitPorts, staged: Staged, { deadline, budget }: Time): Promise<CommitAnswer> {
  const { run, plan } = staged;
  refuseFaulty(ports, staged);
  await ports.crashPoint("before-commit");
  const outcome = await ports.commits.commit(run, plan, budget);
  await ports.crashPoint("after-commit");
  if (outcome.outcome === "rejected") return reject(ports, staged, outcome.judgement, deadline);
  return { next: outcome.outcome };
}

function refuseFaulty({ settings }: CommitPorts, { run, plan, items }: Staged): void {
  const failed = items.filter(({ state }) => state === "failed");
  const [first] = failed;
  if (first?.fault) {
    const more = failed.length > 1 ? ` (and ${failed.length - 1} more fragments failed)` : "";
    throw new PermanentError(first.fault.code, `table ${first.table}: ${first.fault.message}${more}`);
  }
  verifyCounts(plan, items);
  const records = items.reduce((sum, item) => sum + item.records, 0);
  const large = refuseLargeBatch(run.batchId, records, settings.maxRecordsPerBatch);
  if (large) throw new PermanentError(large.code, large.message);
}

async function reject(ports: CommitPorts, staged: Staged, judgement: Judgement, deadline: number): Promise<never> {
  const { run, items } = staged;
  const rejects = await fillRejectTexts(ports, { items, rejects: judgement.rejects }, deadline);
  await ports.attempts.keepRejects(run, { ...judgement, rejects });
  const read = judgement.tables.reduce((sum, { counts }) => sum + counts.records_read, 0);
  const unjudged = judgement.tables.reduce((sum, table) => sum + table.unjudged, 0);
  const rest = unjudged > 0 ? `; ${unjudged} more were not looked at one by one, as too many are broken` : "";
  const text = `${judgement.rejected} of ${read} records of ${run.batchId} were rejected and nothing was loaded; error_log.json in its failed/ folder names each one${rest}`;
  throw new PermanentError("RECORDS_REJECTED", text);
}

async function compare(ports: CommitPorts, { run }: Staged): Promise<CommitAnswer> {
  const { changed, same } = await ports.commits.compare(run);
  ports.log.info("redelivery compared", { batchId: run.batchId, changed: changed.length, same: same.length });
  return { next: "compared" };
}

async function preview(ports: CommitPorts, { run, plan, items }: Staged, { budget }: Time): Promise<CommitAnswer> {
  const judgement = await ports.commits.preview(run, plan, budget);
  const report = toPreview({ run, plan, items, judgement });
  await ports.store.write(previewKey(run.batchId, run.runId), JSON.stringify(report, null, 2));
  return { next: "previewed" };
}
