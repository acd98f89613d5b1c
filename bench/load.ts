import { setTimeout as pause } from "node:timers/promises";
import { stageWait } from "../lib/core/durations.ts";
import { contractsKey, loadedPrefixOf } from "../lib/core/keys.ts";
import type { Run } from "../lib/core/run.ts";
import type { HandlerName } from "../lib/infra/capacity.ts";
import { checkpoint, type Database } from "./database.ts";
import type { Delivery } from "./delivery.ts";
import type { Laboratory } from "./laboratory.ts";
import { type Invoked, invoke, type Lambda, openLambda } from "./lambda.ts";
import { timed, type Usage } from "./meter.ts";
import type { LoadResult } from "./results.ts";

/** A load by the deployed handlers, each in a process of its own, called as the state machine calls them. */

/** Members of the table contracts besides the natural key. */
export type Contract = Readonly<Record<string, unknown>>;

export type LoadRequest = {
  readonly laboratory: Laboratory;
  readonly database: Database;
  readonly delivery: Delivery;
  readonly contract: Contract;
  readonly batchId: string;
  /** The answer that CommitBatch has to give. @default committed */
  readonly expected?: "committed" | "compared";
  /** Folder for a CPU profile of every function; the sources run in place of the bundles. @default - none */
  readonly profileFolder?: string;
  /** @default WARN */
  readonly logLevel?: "INFO" | "WARN";
  /** Told of every invocation. */
  readonly observe?: (invocation: Invocation) => void;
  /** True if every function has run once before, as most of Lambda's have. @default false */
  readonly warm?: boolean;
};

export type Invocation = { readonly handler: HandlerName; readonly seconds: number; readonly usage: Usage };

let batches = 0;

export function newBatchId(): string {
  batches += 1;
  return `batch_20260714_${String(batches).padStart(6, "0")}`;
}

/** Delivers the batch, approves it, loads it, archives it. Only `seconds` of the answer is the time of the load. */
export async function loadBatch(request: LoadRequest): Promise<LoadResult> {
  const { laboratory, database, batchId } = request;
  await deliver(request);
  await using stack = new AsyncDisposableStack();
  const open: Open = (handler) => openObserved(stack, request, handler);
  const validate = await open("validate-batch");
  const commit = await open("commit-batch");
  await checkpoint(laboratory.server);
  const execution = `arn:aws:states:us-east-1:000000000000:execution:LoadBatch:${batchId}-${database.name}`;
  const planned = await timed(() => invoke(validate, { input: { batchId, source: "arrival" }, execution }));
  const run = expectNext(planned.result, "stage");
  const event = { run, execution };
  const staged = await stage(event, open);
  const committed = await timed(() => invoke(commit, event));
  expectNext(committed.result, request.expected ?? "committed");
  const archiver = await open("archive-fragments");
  const closer = await open("close-batch");
  const archived = await timed(() => archive(event, archiver, closer));
  await laboratory.bucket.clear(loadedPrefixOf(batchId, 1));
  return {
    seconds: planned.seconds + staged.seconds + committed.seconds,
    phases: { validate: planned.seconds, stage: staged.seconds, commit: committed.seconds },
    waited: staged.waited,
    archive: archived.seconds,
    workers: run.workers.length,
    workerPeak: staged.peakBytes,
    commitPeak: committed.result.peakBytes,
  };
}

/** Plans and stages the batch and leaves it so; answers the peak memory of a worker, in bytes. */
export async function stageOnly(request: LoadRequest): Promise<number> {
  await deliver(request);
  await using stack = new AsyncDisposableStack();
  const open: Open = (handler) => openObserved(stack, request, handler);
  const { batchId } = request;
  const event = { input: { batchId, source: "arrival" }, execution: batchId };
  const planned = await invoke(await open("validate-batch"), event);
  const { peakBytes } = await stage({ run: expectNext(planned, "stage"), execution: batchId }, open);
  return peakBytes;
}

async function deliver({ laboratory, database, delivery, contract, batchId }: LoadRequest): Promise<void> {
  const tables = delivery.datasets.map(({ table, key }) => [table, { natural_key: key, ...contract }] as const);
  await laboratory.bucket.put(contractsKey, JSON.stringify({ commit: "batch", tables: Object.fromEntries(tables) }));
  await delivery.drop(batchId);
  for (const { table } of delivery.datasets) {
    await database.sql`
      insert into validation_queue (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
      select ${batchId}, ${table}, 'validated', true, 'bench', clock_timestamp()
      where not exists (select from validation_queue where batch_id = ${batchId} and table_name = ${table})`;
  }
}

type Open = (handler: HandlerName) => Promise<Lambda>;

async function openObserved(stack: AsyncDisposableStack, request: LoadRequest, handler: HandlerName): Promise<Lambda> {
  const { laboratory, database, profileFolder, logLevel = "WARN", warm, observe } = request;
  const variables = { ...database.variables, LOG_LEVEL: logLevel };
  // A warm function has logged errors about the batch that does not exist.
  const lambda = await openLambda(laboratory, handler, { variables, profileFolder, quiet: warm });
  stack.defer(() => lambda.close());
  if (warm) await lambda.ask(idleEvent);
  return observe ? observed(lambda, handler, observe) : lambda;
}

/** Names a batch that does not exist: a function learns that from database and bucket, and fails. */
const idleEvent = {
  input: { batchId: "batch_19990101_000000", source: "arrival" },
  run: {
    batchId: "batch_19990101_000000",
    kind: "load",
    planId: 0,
    fence: 0,
    epoch: 1,
    attempt: 1,
    runId: "",
    workers: [1],
  },
  execution: "nobody",
  worker: 1,
};

function observed(lambda: Lambda, handler: HandlerName, observe: (invocation: Invocation) => void): Lambda {
  const ask = async (event: object): Promise<Invoked> => {
    const { seconds, result } = await timed(() => lambda.ask(event));
    observe({ handler, seconds, usage: result.usage });
    return result;
  };
  return { ...lambda, ask };
}

type Event = { readonly run: Run; readonly execution: string };

/** Runs all workers at a time, until each is done. They start before the clock does, as most of Lambda's have. */
async function stage(event: Event, open: Open) {
  const workers = await Promise.all(event.run.workers.map(() => open("stage-fragments")));
  const { seconds, result } = await timed(() =>
    Promise.all(workers.map((lambda, index) => work(lambda, { ...event, worker: event.run.workers[index] ?? 0 }))),
  );
  return {
    seconds,
    waited: Math.max(...result.map(({ waited }) => waited)),
    peakBytes: Math.max(...result.map(({ peakBytes }) => peakBytes)),
  };
}

async function work(lambda: Lambda, event: Event & { readonly worker: number }) {
  let waited = 0;
  let waitSeconds: number = stageWait.firstSeconds;
  for (;;) {
    const invoked = await invoke(lambda, event);
    const { next } = answerOf(invoked);
    if (next === "done") return { waited, peakBytes: invoked.peakBytes };
    if (next !== "wait") continue;
    await pause(waitSeconds * 1000);
    waited += waitSeconds;
    waitSeconds = Math.min(waitSeconds * 2, stageWait.longestSeconds);
  }
}

async function archive(event: Event, archiver: Lambda, closer: Lambda): Promise<void> {
  while (answerOf(await invoke(archiver, event)).next === "more");
  expectNext(await invoke(closer, event), "closed");
}

/** ValidateBatch answers the run itself. */
type Answer = Run & { readonly next: string };

const answerOf = ({ answer }: Invoked): Answer => answer as Answer;

function expectNext(invoked: Invoked, expected: string): Answer {
  const answer = answerOf(invoked);
  if (answer.next === expected) return answer;
  throw new Error(`a handler answered ${JSON.stringify(answer)}, expected next ${expected}`);
}
