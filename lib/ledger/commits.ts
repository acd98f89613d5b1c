import type postgres from "postgres";
import type { BatchState } from "../core/batch.ts";
import { listNames } from "../core/decide.ts";
import { BlockedError, LoaderError, PermanentError, TransientError } from "../core/errors.ts";
import { hashOf, type Plan } from "../core/plan.ts";
import type { CommitOutcome, Commits, CrashPointHook, Judgement } from "../core/ports.ts";
import { maxStoredRejects } from "../core/rejects.ts";
import { sumCounts } from "../core/report.ts";
import type { Run } from "../core/run.ts";
import type { CommitRequest, Target } from "../core/target.ts";
import type { WorkItem } from "../core/work-item.ts";
import { inTransaction, RolledBack, shareTransaction, type Tx } from "../postgres/transaction.ts";
import { lockFence, renewLease } from "./claims.ts";
import { compareRedelivery } from "./compare.ts";
import { discardPlan } from "./plans.ts";
import { recordCommit } from "./record-commit.ts";
import { sinks } from "./sinks.ts";
import { rejectsOfPlan } from "./stored-rejects.ts";
import { beginAnew, listItems } from "./work-items.ts";

type CommitPorts = {
  readonly sql: postgres.Sql;
  readonly target: Target;
  readonly leaseSeconds: number;
  /** @default nothing happens at the named points */
  readonly crashPoint?: CrashPointHook;
};

export function openCommits(ports: CommitPorts): Commits {
  const { name, sharesLedger } = ports.target.capabilities;
  if (!sharesLedger) throw new TypeError(`target ${name} commits by itself, not in a transaction of the ledger`);
  return {
    commit: (run, plan, budget) => commit(ports, { run, plan, budget }),
    preview: (run, plan, budget) =>
      countingTimeouts(ports, run, (enter) =>
        inTransaction(ports.sql, { isolation: "repeatable read", budget }, async (tx) => {
          const request = toRequest(tx, { run, plan, mayRace: false, enter });
          await ports.target.commit.prepare(request);
          const items = await readyToPreview(ports, tx, { run, plan });
          return new RolledBack(await judge(ports, tx, { ...request, items }));
        }),
      ),
    compare: (run) =>
      inTransaction(ports.sql, {}, async (tx) => {
        await lockFence(tx, run);
        const compared = await compareRedelivery(tx, run, await listStaged(tx, run));
        await renewLease(tx, run, ports.leaseSeconds);
        return compared;
      }),
  };
}

type Wanted = { readonly run: Run; readonly plan: Plan; readonly budget: number };
type Committing = Wanted & { readonly enter: (phase: string) => void };

const maxLooks = 3;

/** Everything between begin and commit decides by what it reads there, under the batch row's lock. */
async function commit(ports: CommitPorts, { run, plan, budget }: Wanted): Promise<CommitOutcome> {
  const started = performance.now();
  const left = (): number => budget - (performance.now() - started) / 1000;
  const ended = await countingTimeouts(ports, run, (enter) =>
    lookAgain((isLast) => commitOnce(ports, { run, plan, budget: left(), enter }, !isLast)),
  );
  if (ended.outcome === "restage") await forgetStaged(ports, run, { plan, items: ended.items });
  if (ended.outcome === "replan") await replan(ports, run, { plan, because: ended.because });
  return ended;
}

/**
 * The judge has seen every duplicate key that was there, so a 23505 in the merge comes from somebody who inserted the
 * same key meanwhile. On the next look the judge sees that row, too; only the last one takes it for the batch's fault.
 */
async function lookAgain<T>(look: (isLast: boolean) => Promise<T>): Promise<T> {
  for (let n = 1; n < maxLooks; n += 1) {
    try {
      return await look(false);
    } catch (error) {
      if (!(error instanceof PermanentError && error.details.sqlState === uniqueViolation)) throw error;
    }
  }
  return look(true);
}

const uniqueViolation = "23505";

async function commitOnce(ports: CommitPorts, committing: Committing, mayRace: boolean): Promise<Ended> {
  const { run, plan, budget, enter } = committing;
  return inTransaction<Ended>(ports.sql, { isolation: "repeatable read", budget }, async (tx) => {
    enter("lock");
    const request = toRequest(tx, { run, plan, mayRace, enter });
    // Before any select: the snapshot must come after the lock, or two loads insert the same key.
    await ports.target.commit.prepare(request);
    const state = await lockFence(tx, run);
    enter("check");
    const ready = await checkReady(ports, tx, { run, plan, state });
    if (ready.outcome !== "go") return new RolledBack<Ended>(ready);
    if (!(await takeCommit(tx, run, plan))) return new RolledBack<Ended>({ outcome: "committed", judgement: null });
    const { items } = ready;
    const judgement = await judge(ports, tx, { ...request, items });
    enter("record");
    if (judgement.rejected > 0) return new RolledBack<Ended>({ outcome: "rejected", judgement });
    await recordCommit(tx, run, { plan, items, judgement });
    await renewLease(tx, run, ports.leaseSeconds);
    await ports.crashPoint?.("after-merge");
    return { outcome: "committed", judgement };
  });
}

type Ended = Exclude<CommitOutcome, { outcome: "restage" | "replan" }> | Unready;
type Unready = { readonly outcome: "restage"; readonly items: readonly number[] } | Replan;
type Replan = { readonly outcome: "replan"; readonly because: "approval" | "catalog" };

type Ready = { readonly outcome: "go"; readonly items: readonly WorkItem[] };

type Looking = { readonly run: Run; readonly plan: Plan; readonly state: BatchState };

function toRequest(tx: Tx, asked: Pick<CommitRequest, "run" | "plan" | "mayRace" | "enter">): CommitRequest {
  return { ...asked, part: 0, items: [], sinks, within: shareTransaction(tx) };
}

async function checkReady({ target }: CommitPorts, tx: Tx, { run, plan, state }: Looking): Promise<Ready | Ended> {
  if (state !== "loading") return { outcome: "committed", judgement: null };
  if (plan.body.approved && !(await isApproved(tx, run, plan))) return { outcome: "replan", because: "approval" };
  if (await hasChanged(target, tx, plan)) return { outcome: "replan", because: "catalog" };
  const items = await listItems(tx, plan.planId);
  // A crash of the server takes back rows and maybe also what the checkpoint says of them: then both agree on nothing.
  const unstaged = items.filter(isUnstaged).map(({ itemId }) => itemId);
  const lost = new Set([...unstaged, ...(await target.staging.rows.missing(plan, items, shareTransaction(tx)))]);
  return lost.size > 0 ? { outcome: "restage", items: [...lost] } : { outcome: "go", items };
}

/**
 * The items of a preview whose staging is all there, and whose tables are as they were planned.
 *
 * @throws BlockedError DB_SCHEMA_CHANGED, TransientError STAGE_UNFINISHED; a preview is planned anew then
 */
async function readyToPreview(
  { target }: CommitPorts,
  tx: Tx,
  { run, plan }: Pick<Looking, "run" | "plan">,
): Promise<WorkItem[]> {
  if (await hasChanged(target, tx, plan)) {
    const text = `a table of ${run.batchId} changed while its preview was staged; it is planned again`;
    throw new BlockedError("DB_SCHEMA_CHANGED", text);
  }
  const items = await listStaged(tx, run);
  refuseUnstaged(run, (await target.staging.rows.missing(plan, items, shareTransaction(tx))).length);
  return items;
}

/** Whether a table is no longer as it was when the load was planned. */
async function hasChanged({ catalog }: Target, tx: Tx, { body }: Plan): Promise<boolean> {
  const tables = body.tables.map(({ table }) => table);
  return hashOf([...(await catalog.read(tables, shareTransaction(tx))).values()]) !== body.catalogHash;
}

const isUnstaged = ({ state }: WorkItem): boolean => state === "pending";

/**
 * For what is not staged again but asked again.
 *
 * @throws TransientError STAGE_UNFINISHED where a crash of the server has taken checkpoints back since the step looked
 */
async function listStaged(tx: Tx, run: Run): Promise<WorkItem[]> {
  const items = await listItems(tx, run.planId);
  refuseUnstaged(run, items.filter(isUnstaged).length);
  return items;
}

function refuseUnstaged({ batchId }: Run, fragments: number): void {
  if (fragments === 0) return;
  const text = `${fragments} fragments of ${batchId} are not staged any more, as after a crash of the database's server`;
  throw new TransientError("STAGE_UNFINISHED", text);
}

/** Reads the approval again, locked: whoever withdraws it now waits until the load is committed. */
async function isApproved(tx: Tx, run: Run, plan: Plan): Promise<boolean> {
  const tables = plan.body.tables.map(({ table }) => table);
  const rows = await tx<{ table_name: string; approved: boolean }[]>`
    select table_name, coalesce(approved_for_load, false) as approved
    from public.validation_queue
    where batch_id = ${run.batchId} and table_name = any(${tables}::text[])
    for update
  `;
  const queued = new Set(rows.map(({ table_name: table }) => table));
  return queued.size >= tables.length && rows.every(({ approved }) => approved);
}

/** The rows whose uniqueness makes the effect happen once. False where somebody has done it. */
async function takeCommit(tx: Tx, run: Run, plan: Plan): Promise<boolean> {
  const tables = plan.body.tables.map(({ table }) => table);
  const taken = await tx`
    insert into table_loader.commits (batch_id, epoch, table_name, attempt, fence, plan_id)
    select ${run.batchId}, ${run.epoch}, t.table_name, ${run.attempt}, ${run.fence}, ${plan.planId}
    from unnest(${tables}::text[]) as t(table_name)
    on conflict do nothing
  `;
  return taken.count === tables.length;
}

async function judge({ target }: CommitPorts, tx: Tx, request: CommitRequest): Promise<Judgement> {
  const answer = await target.commit.submit(request);
  if (answer.outcome === "pending") {
    const text = `target ${target.capabilities.name} is at work after its own commit; only one that shares the ledger's transaction can be loaded`;
    throw new BlockedError("TARGET_UNSUPPORTED", text);
  }
  const { tables } = answer;
  const rejects = await rejectsOfPlan(tx, request.plan.planId, maxStoredRejects);
  return { tables, rejects, rejected: sumCounts(tables.map(({ counts }) => counts)).records_failed };
}

type Lost = { readonly plan: Plan; readonly items: readonly number[] };

/** Zeroes the checkpoints of items whose rows are gone: they are staged again from the objects. */
async function forgetStaged({ sql, target, leaseSeconds }: CommitPorts, run: Run, lost: Lost): Promise<void> {
  const { plan, items } = lost;
  await inTransaction(sql, {}, async (tx) => {
    if ((await lockFence(tx, run)) !== "loading") return;
    await target.staging.rows.forget(plan, items, shareTransaction(tx));
    await beginAnew(tx, items);
    await renewLease(tx, run, leaseSeconds);
  });
}

/** Planned again once; where the tables go on changing, somebody is at work on them, and the load waits for that. */
const maxSchemaChanges = 1;

type Replanning = { readonly plan: Plan; readonly because: Replan["because"] };

/** @throws BlockedError DB_SCHEMA_CHANGED */
async function replan(ports: CommitPorts, run: Run, { plan, because }: Replanning): Promise<void> {
  const changes = await forgetPlan(ports, run, { plan, because });
  if (changes <= maxSchemaChanges) return;
  const tables = plan.body.tables.map(({ table }) => table);
  const text = `${listNames(tables)}: changed ${changes} times while ${run.batchId} was loaded; it is planned again when they stay as they are`;
  throw new BlockedError("DB_SCHEMA_CHANGED", text);
}

async function forgetPlan(
  { sql, target, leaseSeconds }: CommitPorts,
  run: Run,
  { plan, because }: Replanning,
): Promise<number> {
  return inTransaction(sql, {}, async (tx) => {
    // the same task may have run twice, and the other one have committed
    if ((await lockFence(tx, run)) !== "loading") return 0;
    await discardPlan(tx, target.staging.tables, plan.planId);
    const [batch] = await tx<{ schema_changes: number }[]>`
      update table_loader.batches
      set plan_id = null, schema_changes = schema_changes + ${because === "catalog" ? 1 : 0}
      where batch_id = ${run.batchId}
      returning schema_changes
    `;
    await renewLease(tx, run, leaseSeconds);
    return because === "catalog" ? (batch?.schema_changes ?? 0) : 0;
  });
}

type TimeoutPorts = { readonly sql: postgres.Sql; readonly leaseSeconds: number };

/** The first time may be the server's bad moment; what does not fit twice does not fit. */
const maxTimeouts = 2;

/**
 * Runs a commit, and says of one that ran into its time limit where it stood. How often that happened to the plan is
 * counted in the ledger, since every try is another invocation.
 *
 * @param work names each phase as it enters it
 * @throws TransientError DB_TIMEOUT the first time, PermanentError DB_TIMEOUT the second
 */
async function countingTimeouts<T>(
  ports: TimeoutPorts,
  run: Run,
  work: (enter: (phase: string) => void) => Promise<T>,
): Promise<T> {
  const started = performance.now();
  let phase = "lock";
  try {
    return await work((next) => {
      phase = next;
    });
  } catch (cause) {
    if (!(cause instanceof LoaderError && cause.code === "DB_TIMEOUT")) throw cause;
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    const text = `the commit of ${run.batchId} ran out of time after ${seconds} s (phase: ${phase}); raise TRANSACTION_TIMEOUT or deliver smaller batches`;
    const isLast = (await countTimeout(ports, run)) >= maxTimeouts;
    const details = { phase, seconds, cause };
    throw isLast ? new PermanentError("DB_TIMEOUT", text, details) : new TransientError("DB_TIMEOUT", text, details);
  }
}

function countTimeout({ sql, leaseSeconds }: TimeoutPorts, run: Run): Promise<number> {
  return inTransaction(sql, {}, async (tx) => {
    const [row] = await tx<{ timeouts: number }[]>`
      update table_loader.plans set timeouts = timeouts + 1 where plan_id = ${run.planId} returning timeouts
    `;
    await renewLease(tx, run, leaseSeconds);
    return row?.timeouts ?? 0;
  });
}
