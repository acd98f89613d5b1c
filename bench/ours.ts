import { setTimeout as pause } from "node:timers/promises";
import { stageWait } from "../lib/core/durations.ts";
import { contractsKey, loadedPrefixOf } from "../lib/core/keys.ts";
import type { Run } from "../lib/core/run.ts";
import type { HandlerName } from "../lib/infra/capacity.ts";
import { sourceOf } from "./bundles.ts";
import { type Child, openChild } from "./child.ts";
import { checkpoint, type Database } from "./database.ts";
import type { Delivery } from "./delivery.ts";
import type { Laboratory } from "./laboratory.ts";
import type { Usage } from "./meter.ts";

/** A load by the deployed handlers, each in a process of its own, called as the state machine calls them. */

export type OurLoad = {
  /** From the object in staging to the commit. */
  readonly seconds: number;
  readonly phases: { readonly validate: number; readonly stage: number; readonly commit: number };
  /** Of the stage phase, what a worker waited for others, as the machine's Wait states have it. */
  readonly waited: number;
  /** ArchiveFragments and CloseBatch, after the commit. */
  readonly archive: number;
  readonly workers: number;
  /** Most memory of a staging worker, and of CommitBatch, in bytes. */
  readonly workerPeak: number;
  readonly commitPeak: number;
};

/** Members of the table contracts besides the natural key. */
export type Contract = Readonly<Record<string, unknown>>;

export type LoadRequest = {
  readonly laboratory: Laboratory;
  readonly database: Database;
  readonly delivery: Delivery;
  readonly contract: Contract;
  readonly batchId: string;
  /** What CommitBatch has to answer. @default committed */
  readonly expected?: "committed" | "compared";
  /** Where every function leaves its CPU profile; the sources run in place of the bundles. @default - none */
  readonly profileFolder?: string;
  /** @default WARN */
  readonly logLevel?: "INFO" | "WARN";
  /** Told of every invocation. */
  readonly observe?: (invocation: Invocation) => void;
  /** True where every function has run once before, as most of Lambda's have. @default false */
  readonly warm?: boolean;
};

export type Invocation = { readonly handler: HandlerName; readonly seconds: number; readonly usage: Usage };

type Said = {
  readonly answer: unknown;
  readonly fault: string | null;
  readonly peakBytes: number;
  readonly usage: Usage;
};
type Lambda = Child<Said>;
/** ValidateBatch answers the run itself. */
type Answer = Run & { readonly next: string };

let batches = 0;

export function newBatchId(): string {
  batches += 1;
  return `batch_20260714_${String(batches).padStart(6, "0")}`;
}

/** Delivers the batch, approves it, loads it, archives it. Only what the answer calls seconds is timed. */
export async function loadBatch(request: LoadRequest): Promise<OurLoad> {
  const { laboratory, database, batchId } = request;
  await deliver(request);
  await using stack = new AsyncDisposableStack();
  const open = (handler: HandlerName): Promise<Lambda> => openLambda(stack, request, handler);
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
  await laboratory.objects.clear(loadedPrefixOf(batchId, 1));
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

/** Plans and stages the batch and leaves it so; answers the most memory of a worker. */
export async function stageOnly(
  request: LoadRequest,
): Promise<{ readonly seconds: number; readonly peakBytes: number }> {
  await deliver(request);
  await using stack = new AsyncDisposableStack();
  const open = (handler: HandlerName): Promise<Lambda> => openLambda(stack, request, handler);
  const { batchId } = request;
  const planned = await invoke(await open("validate-batch"), {
    input: { batchId, source: "arrival" },
    execution: batchId,
  });
  // Awaited here: the processes end with this function.
  return await stage({ run: expectNext(planned, "stage"), execution: batchId }, open);
}

async function deliver({ laboratory, database, delivery, contract, batchId }: LoadRequest): Promise<void> {
  const tables = delivery.datasets.map(({ table, key }) => [table, { natural_key: key, ...contract }] as const);
  await laboratory.objects.put(contractsKey, JSON.stringify({ commit: "batch", tables: Object.fromEntries(tables) }));
  await delivery.drop(batchId);
  for (const { table } of delivery.datasets) {
    await database.sql`
      insert into validation_queue (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
      select ${batchId}, ${table}, 'validated', true, 'bench', clock_timestamp()
      where not exists (select from validation_queue where batch_id = ${batchId} and table_name = ${table})`;
  }
}

async function openLambda(stack: AsyncDisposableStack, request: LoadRequest, handler: HandlerName): Promise<Lambda> {
  const { laboratory, database, profileFolder, logLevel = "WARN" } = request;
  const file = profileFolder ? sourceOf(handler) : (laboratory.bundles.get(handler)?.file ?? "");
  const lambda = await openChild<Said>({
    file: "worker.ts",
    args: [handler, file, ...(profileFolder ? [profileFolder] : [])],
    flags: laboratory.nodeFlags,
    // what a function says of a batch that there is not
    quiet: request.warm ?? false,
    env: {
      ...database.variables,
      S3_BUCKET: laboratory.objects.bucket,
      S3_VERSIONING: "disabled",
      AWS_REGION: "us-east-1",
      LOCAL_ENDPOINT: laboratory.objects.endpoint,
      LOG_LEVEL: logLevel,
    },
  });
  stack.defer(() => lambda.close());
  if (request.warm) await lambda.ask(idleEvent);
  return request.observe ? observed(lambda, handler, request.observe) : lambda;
}

/** Of a batch that there is not: a function finds that out with database and bucket, and gives up. */
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
  const ask = async (event: object): Promise<Said> => {
    const { seconds, result } = await timed(() => lambda.ask(event));
    observe({ handler, seconds, usage: result.usage });
    return result;
  };
  return { ...lambda, ask };
}

type Event = { readonly run: Run; readonly execution: string };
type Open = (handler: HandlerName) => Promise<Lambda>;
type Invoked = { readonly answer: Answer; readonly peakBytes: number };

/** All workers at a time, until each is done. They are warm before the clock starts, as Lambdas mostly are. */
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
    const { answer, peakBytes } = await invoke(lambda, event);
    if (answer.next === "done") return { waited, peakBytes };
    if (answer.next !== "wait") continue;
    await pause(waitSeconds * 1000);
    waited += waitSeconds;
    waitSeconds = Math.min(waitSeconds * 2, stageWait.longestSeconds);
  }
}

async function archive(event: Event, archiver: Lambda, closer: Lambda): Promise<void> {
  while ((await invoke(archiver, event)).answer.next === "more");
  expectNext(await invoke(closer, event), "closed");
}

async function invoke(lambda: Lambda, event: object): Promise<Invoked> {
  const { answer, fault, peakBytes } = await lambda.ask(event);
  if (fault !== null) throw new Error(`a handler failed: ${fault}`);
  return { answer: answer as Answer, peakBytes };
}

function expectNext({ answer }: Invoked, expected: string): Answer {
  if (answer.next === expected) return answer;
  throw new Error(`a handler answered ${JSON.stringify(answer)}, expected next ${expected}`);
}

export async function timed<T>(work: () => Promise<T>): Promise<{ readonly seconds: number; readonly result: T }> {
  const started = performance.now();
  const result = await work();
  return { seconds: (performance.now() - started) / 1000, result };
}
