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
    commit: (run, plan, budget) => commit(ports, run, plan, budget),
    preview: (run, plan, budget) =>
      countingTimeouts(ports, run, (enter) =>
        inTransaction(ports.sql, { isolation: "repeatable read", budget }, async (tx) => {
          const request = toRequest(tx, { run, plan, mayRace: false, enter });
          await ports.target.commit.prepare(request);
          const items = await readyToPreview(ports, tx, request);
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

async function commit(ports: CommitPorts, run: Run, plan: Plan, budget: number): Promise<CommitOutcome> {
  const started = performance.now();
  const left = (): number => budget - (performance.now() - started) / 1000;
  const ended = await countingTimeouts(ports, run, (enter) =>
    lookAgain((mayRace) => commitOnce(ports, { run, plan, mayRace, enter }, left())),
  );
  if (ended.outcome === "restage") await forgetStaged(ports, run, plan, ended.items);
  if (ended.outcome === "replan") await replan(ports, run, plan, ended.because);
  return ended;
}

const maxLooks = 3;
const uniqueViolation = "23505";

/**
 * Looks again after a duplicate key in the merge: the judge saw all keys that were stored, so another session must have
 * inserted this one meanwhile. The next look sees its row, too; only the last one blames the batch.
 */
async function lookAgain(look: (mayRace: boolean) => Promise<Ended>): Promise<Ended> {
  for (let n = 1; n < maxLooks; n += 1) {
    try {
      return await look(true);
    } catch (error) {
      if (!(error instanceof PermanentError && error.details.sqlState === uniqueViolation)) throw error;
    }
  }
  return look(false);
}

/** Decides only by what it reads in the transaction that commits, under the lock of the batch row. */
async function commitOnce(ports: CommitPorts, asked: Asked, budget: number): Promise<Ended> {
  const { run, plan, enter } = asked;
  return inTransaction<Ended>(ports.sql, { isolation: "repeatable read", budget }, async (tx) => {
    enter("lock");
    const request = toRequest(tx, asked);
    // Before any select: if the snapshot were older than the lock, two loads could insert the same key.
    await ports.target.commit.prepare(request);
    const state = await lockFence(tx, run);
    enter("check");
    const ready = await checkReady(ports, tx, request, state);
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

type Ended =
  | Exclude<CommitOutcome, { outcome: "restage" | "replan" }>
  | { readonly outcome: "restage"; readonly items: readonly number[] }
  | { readonly outcome: "replan"; readonly because: Changed };

/** What has changed since the load was planned. */
type Changed = "approval" | "catalog";

type Asked = Pick<CommitRequest, "run" | "plan" | "mayRace" | "enter">;

function toRequest(tx: Tx, asked: Asked): CommitRequest {
  return { ...asked, part: 0, items: [], sinks, within: shareTransaction(tx) };
}

async function checkReady(
  { target }: CommitPorts,
  tx: Tx,
  { run, plan, within }: CommitRequest,
  state: BatchState,
): Promise<Ended | { readonly outcome: "go"; readonly items: readonly WorkItem[] }> {
  if (state !== "loading") return { outcome: "committed", judgement: null };
  if (plan.body.approved && !(await isApproved(tx, run, plan))) return { outcome: "replan", because: "approval" };
  if (await hasChanged(target, plan, within)) return { outcome: "replan", because: "catalog" };
  const items = await listItems(tx, plan.planId);
  // A crash of the server loses staged rows, and may lose the checkpoint as well: then no row seems to be missing.
  const unstaged = items.filter(isUnstaged).map(({ itemId }) => itemId);
  const lost = new Set([...unstaged, ...(await target.staging.rows.missing(plan, items, within))]);
  return lost.size > 0 ? { outcome: "restage", items: [...lost] } : { outcome: "go", items };
}

/**
 * The items of a preview, if all of their rows are staged and the tables are still as they were planned.
 *
 * @throws BlockedError DB_SCHEMA_CHANGED, TransientError STAGE_UNFINISHED; then the preview is planned again
 */
async function readyToPreview({ target }: CommitPorts, tx: Tx, request: CommitRequest): Promise<WorkItem[]> {
  const { run, plan, within } = request;
  if (await hasChanged(target, plan, within)) {
    const text = `a table of ${run.batchId} changed while its preview was staged; it is planned again`;
    throw new BlockedError("DB_SCHEMA_CHANGED", text);
  }
  const items = await listStaged(tx, run);
  requireStaged(run, (await target.staging.rows.missing(plan, items, within)).length);
  return items;
}

/** True if a table is no longer as it was when the load was planned. */
async function hasChanged({ catalog }: Target, plan: Plan, within: CommitRequest["within"]): Promise<boolean> {
  return hashOf([...(await catalog.read(namesOf(plan), within)).values()]) !== plan.body.catalogHash;
}

const namesOf = ({ body }: Plan): string[] => body.tables.map(({ table }) => table);

const isUnstaged = ({ state }: WorkItem): boolean => state === "pending";

/**
 * The items of a comparison or preview, which stages nothing again: it is asked for again.
 *
 * @throws TransientError STAGE_UNFINISHED if a crash of the server has taken checkpoints back since the step looked
 */
async function listStaged(tx: Tx, run: Run): Promise<WorkItem[]> {
  const items = await listItems(tx, run.planId);
  requireStaged(run, items.filter(isUnstaged).length);
  return items;
}

function requireStaged({ batchId }: Run, unstaged: number): void {
  if (unstaged === 0) return;
  const text = `${unstaged} fragments of ${batchId} are not staged any more, as after a crash of the database's server`;
  throw new TransientError("STAGE_UNFINISHED", text);
}

/** Reads the approval again and locks it: a withdrawal waits until the load is committed. */
async function isApproved(tx: Tx, run: Run, plan: Plan): Promise<boolean> {
  const tables = namesOf(plan);
  const rows = await tx<{ table_name: string; approved: boolean }[]>`
    select table_name, coalesce(approved_for_load, false) as approved
    from public.validation_queue
    where batch_id = ${run.batchId} and table_name = any(${tables}::text[])
    for update
  `;
  const queued = new Set(rows.map(({ table_name: table }) => table));
  return queued.size >= tables.length && rows.every(({ approved }) => approved);
}

/** Inserts the rows whose unique key lets the load take effect only once; false if it has taken effect already. */
async function takeCommit(tx: Tx, run: Run, plan: Plan): Promise<boolean> {
  const tables = namesOf(plan);
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

/** Zeroes the checkpoints of items whose rows are gone, so that they are staged again from the objects. */
async function forgetStaged(
  { sql, target, leaseSeconds }: CommitPorts,
  run: Run,
  plan: Plan,
  items: readonly number[],
): Promise<void> {
  await inTransaction(sql, {}, async (tx) => {
    if ((await lockFence(tx, run)) !== "loading") return;
    await target.staging.rows.forget(plan, items, shareTransaction(tx));
    await beginAnew(tx, items);
    await renewLease(tx, run, leaseSeconds);
  });
}

/** Changes of the tables after which a load is planned again at once; after more, it waits until they have ended. */
const maxSchemaChanges = 1;

/** @throws BlockedError DB_SCHEMA_CHANGED */
async function replan(ports: CommitPorts, run: Run, plan: Plan, because: Changed): Promise<void> {
  const changes = await forgetPlan(ports, run, plan, because);
  if (changes <= maxSchemaChanges) return;
  const text = `${listNames(namesOf(plan))}: changed ${changes} times while ${run.batchId} was loaded; it is planned again when they stay as they are`;
  throw new BlockedError("DB_SCHEMA_CHANGED", text);
}

async function forgetPlan(
  { sql, target, leaseSeconds }: CommitPorts,
  run: Run,
  plan: Plan,
  because: Changed,
): Promise<number> {
  return inTransaction(sql, {}, async (tx) => {
    // The same task may run twice: the other one may have committed.
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

/** The first timeout may be due to a server that was slow for a moment; after a second one, more tries do not help. */
const maxTimeouts = 2;

/**
 * Runs a commit; if it runs out of time, the error names the phase. The timeouts of the plan are counted in the ledger,
 * since every try is another invocation.
 *
 * @param work names each phase as it enters it
 * @throws TransientError DB_TIMEOUT the first time, PermanentError DB_TIMEOUT the second
 */
async function countingTimeouts<T>(
  ports: CommitPorts,
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

function countTimeout({ sql, leaseSeconds }: CommitPorts, run: Run): Promise<number> {
  return inTransaction(sql, {}, async (tx) => {
    const [row] = await tx<{ timeouts: number }[]>`
      update table_loader.plans set timeouts = timeouts + 1 where plan_id = ${run.planId} returning timeouts
    `;
    await renewLease(tx, run, leaseSeconds);
    return row?.timeouts ?? 0;
  });
}
