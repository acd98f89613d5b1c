import { expect } from "vitest";
import { StaleFence } from "../../lib/core/errors.ts";
import type { CrashPoint } from "../../lib/core/ports.ts";
import { randomExecutionName } from "../../lib/local/interpreter.ts";
import { onCrashPoint } from "../../lib/wiring.ts";
import type { TestBatch } from "./batches.ts";
import { testerName } from "./database.ts";
import type { Flow, RunResult } from "./flow.ts";

/**
 * A death of the whole process, as near as one process can play it: at the named point nothing goes on, no handler
 * cleans up, and the server sees the connections end. Step Functions hears nothing of it: the execution seems to run.
 */

const buried: (() => void)[] = [];

/**
 * Lets what was killed end, so that closing the machine need not wait for it; for the end of a file. It ends with
 * StaleFence, the one error after which nothing is written.
 */
export function buryTheDead(): void {
  onCrashPoint(() => undefined);
  for (const end of buried.splice(0)) end();
}

type CrashOptions = {
  readonly input?: object;
  /** Which time the point is reached. @default 1 */
  readonly time?: number;
  /** What starts the execution. @default a start by hand, with `input` */
  readonly begin?: () => Promise<unknown>;
};

/** Runs the batch until the point is reached, and kills it there. */
export async function crashAt(flow: Flow, { id }: TestBatch, point: CrashPoint, options: CrashOptions = {}) {
  const reached = Promise.withResolvers<void>();
  let times = 0;
  onCrashPoint((at) => {
    if (at !== point) return undefined;
    times += 1;
    if (times !== (options.time ?? 1)) return undefined;
    reached.resolve();
    return new Promise<void>((_, reject) => buried.push(() => reject(new StaleFence(id, 0))));
  });
  const arn = await begin(flow, id, options);
  const ended = flow.machine.settle(arn).then(({ status, cause }) => {
    throw new Error(`the execution ended as ${status} before it reached ${point}: ${cause}`);
  });
  await Promise.race([reached.promise, ended]);
  ended.catch(() => undefined);
  onCrashPoint(() => undefined);
  await silence(flow, arn);
}

async function begin(flow: Flow, batchId: string, { input, begin: start }: CrashOptions): Promise<string> {
  if (!start) return flow.machine.start(randomExecutionName(), JSON.stringify({ batchId, ...input })).arn;
  await start();
  return flow.machine.list().at(-1)?.arn ?? "";
}

/** Nothing of the execution goes on, and it is still said to run, as of a Lambda that died in the middle of a task. */
async function silence(flow: Flow, arn: string): Promise<void> {
  await flow.machine.stop(arn);
  Object.assign(flow.machine.find(arn) ?? {}, { status: "RUNNING", stopDate: null });
  await killBackends(flow);
}

/** Ends every connection that is not the test's. */
export async function killBackends({ sql }: Flow): Promise<void> {
  await sql`
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and application_name <> ${testerName} and backend_type = 'client backend'`;
}

export async function expireLease({ sql }: Flow, { id }: TestBatch): Promise<void> {
  await sql`update table_loader.batches set lease_until = now() - interval '1 second' where batch_id = ${id}`;
}

type Swept = {
  readonly ran: boolean;
  readonly started: readonly string[];
  readonly healed: Readonly<Record<string, number>>;
  readonly runs: readonly RunResult[];
};

/** One sweep, and everything that it starts. */
export async function sweepOnce(flow: Flow): Promise<Swept> {
  const before = new Set(flow.machine.list().map(({ arn }) => arn));
  const answer = (await flow.invoke("sweep")) as Omit<Swept, "runs">;
  const started = flow.machine.list().filter(({ arn }) => !before.has(arn));
  const records = await Promise.all(started.map(({ arn }) => flow.machine.settle(arn)));
  const runs = records.map((record) => ({ ...record, output: JSON.parse(record.output ?? "null") }));
  return { ...answer, runs };
}

export async function expectNothingToHeal(flow: Flow): Promise<void> {
  const { started, healed } = await sweepOnce(flow);
  expect({ started, healed }).toEqual({ started: [], healed: {} });
}

/** The lease ends, and the sweep finds the batch. */
export async function takeOver(flow: Flow, batch: TestBatch): Promise<Swept> {
  await expireLease(flow, batch);
  return sweepOnce(flow);
}

/** Until a connection of the loader waits for somebody's lock. */
export async function waitForLock({ sql }: Flow): Promise<void> {
  for (;;) {
    const waiting = await sql`
      select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    if (waiting.length > 0) return;
  }
}
