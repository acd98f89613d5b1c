import { functionSizes, type HandlerName, maxConnectionsOf } from "../../lib/infra/capacity.ts";
import type { Definition } from "../../lib/local/interpreter.ts";
import type { LocalPostgres } from "../../lib/local/postgres.ts";
import { mixSeed } from "../../lib/local/sample/values.ts";
import type { Costs } from "./durations.ts";
import type { Batch } from "./replay.ts";
import { type Ended, type Outcome, type SimulationOptions, simulate } from "./simulate.ts";

/** What is simulated, and the figures that the page shows of it. */

/** One configuration of deployment and database. */
export type Setup = {
  readonly name: string;
  readonly maxWorkers: number;
  readonly maxLoads: number;
  readonly processors: number;
  readonly maxConnections: number;
  readonly reserved?: Partial<Record<HandlerName, number>>;
};

/** Figures of a simulation, small enough to keep beside the page. */
export type Figures = {
  readonly name: string;
  readonly batches: number;
  readonly fragments: number;
  readonly records: number;
  readonly failed: number;
  /** From the first start to the last commit, and to the end of the last execution. */
  readonly committedAfter: number;
  readonly endedAfter: number;
  readonly events: number;
  readonly transitions: number;
  readonly largestPayload: number;
  readonly polls: number;
  readonly retries: number;
  /** Most batches that began a load although they were approved later than one that waited. */
  readonly overtaken: number;
  readonly rows: number;
  readonly usage: Readonly<Record<string, number>>;
  readonly mostConnections: number;
  /** By which the ledger grew; not in results that are older than this figure. */
  readonly ledgerBytes?: number;
};

const stageShare = functionSizes["stage-fragments"].connections ?? 1;
const commitShare = functionSizes["commit-batch"].connections ?? 1;

/** As it is deployed in stage prod. */
export const deployed: Setup = {
  name: "as deployed",
  maxWorkers: stageShare,
  maxLoads: commitShare,
  processors: 2,
  maxConnections: maxConnectionsOf("m7g.large"),
};

export const setups: readonly Setup[] = [
  ...[1, 2, 4, 8].map((maxWorkers) => ({ ...deployed, name: "fewer workers", maxWorkers })),
  deployed,
  { ...deployed, name: "more workers", maxWorkers: 40 },
  { ...deployed, name: "a server of 40 connections", maxConnections: 40 },
  { ...deployed, name: "ValidateBatch 20 at a time", reserved: { "validate-batch": 20 } },
  { ...deployed, name: "and 10 loads", maxLoads: 10, reserved: { "validate-batch": 20 } },
  {
    ...deployed,
    name: "and 40 workers, 20 loads, m7g.2xlarge",
    ...{ maxWorkers: 40, maxLoads: 20, processors: 8, maxConnections: maxConnectionsOf("m7g.2xlarge") },
    reserved: { "validate-batch": 40 },
  },
];

export type Bench = { readonly server: LocalPostgres; readonly definition: Definition; readonly costs: Costs };

type Many = { readonly batches: number; readonly secondsBetween: number };

/** The delivery of the simulations of many batches: 47 MB in four fragments, which ask for four workers. */
export const delivered = { fragments: 4, recordsPerFragment: 50_000, bytes: 50_000 * 233 };

/** Approved in another order than they arrive, and all of them before the first arrives. */
export function manyBatches({ batches, secondsBetween }: Many): Batch[] {
  const order = Array.from({ length: batches }, (_, index) => index).toSorted(
    (a, b) => mixSeed(1, 1, a) - mixSeed(1, 1, b) || a - b,
  );
  return order.map((place, index) => ({
    ...delivered,
    batchId: `batch_20260101_${String(index).padStart(6, "0")}`,
    approvedAt: place - batches - 1,
    startsAt: index * secondsBetween,
  }));
}

/** One batch of so many fragments of 100 records. */
export const oneBatch = (fragments: number): Batch[] => [
  { batchId: "batch_20260101_000000", fragments, recordsPerFragment: 100, bytes: 23_300, approvedAt: -1, startsAt: 0 },
];

/** From here on the steps behind the planner take their time and do nothing: one real load each would take minutes. */
const mostRealFragments = 1_000;

export async function run(bench: Bench, setup: Setup, batches: readonly Batch[]): Promise<Figures> {
  const effects = batches.every(({ fragments }) => fragments <= mostRealFragments);
  const options: SimulationOptions = { ...bench, ...setup, batches, effects };
  return figuresOf(setup.name, await simulate(options));
}

export function figuresOf(name: string, { executions, ...rest }: Outcome): Figures {
  const sum = (of: (execution: Ended) => number): number => executions.reduce((total, one) => total + of(one), 0);
  const most = (of: (execution: Ended) => number): number => Math.max(...executions.map(of));
  const began = Math.min(...executions.map(({ batch }) => batch.startsAt));
  return {
    name,
    batches: executions.length,
    fragments: sum(({ batch }) => batch.fragments),
    records: sum(({ batch }) => batch.fragments * batch.recordsPerFragment),
    failed: executions.filter(({ status, committedAt }) => status === "failed" || committedAt === null).length,
    committedAfter: most(({ committedAt }) => committedAt ?? 0) - began,
    endedAfter: most(({ endedAt }) => endedAt) - began,
    events: most(({ history }) => history.events),
    transitions: sum(({ history }) => history.transitions),
    largestPayload: most(({ history }) => history.largestPayload),
    polls: sum(({ polls }) => polls),
    retries: sum(({ history }) => history.retries),
    overtaken: mostOvertaken(executions),
    ...rest,
  };
}

/** Of those that were all in line together: a batch that comes later than others cannot have waited for its turn. */
export function mostOvertaken(executions: readonly Pick<Ended, "batch" | "admittedAt">[]): number {
  const lastStart = Math.max(...executions.map(({ batch }) => batch.startsAt));
  const settled = executions.filter(({ admittedAt }) => (admittedAt ?? 0) > lastStart + settleSeconds);
  const overtaking = (one: (typeof settled)[number]): number =>
    settled.filter(
      (other) => other.batch.approvedAt > one.batch.approvedAt && (other.admittedAt ?? 0) < (one.admittedAt ?? 0),
    ).length;
  return Math.max(0, ...settled.map(overtaking));
}

/** In which whoever arrived has asked for its turn, also where its first calls were refused. */
const settleSeconds = 60;

/** Longer than an execution stands in line, and too long for one lease: it renews it every quarter of an hour. */
const endless: Batch = {
  ...{ batchId: "batch_20260101_000000", fragments: 2_500, recordsPerFragment: 700_000, bytes: 1_000 },
  ...{ approvedAt: -2, startsAt: 0 },
};

/** A batch that never gets its turn: one other load holds the only place. Answers its figures alone. */
export async function standInLine(bench: Bench): Promise<Figures> {
  const waiting: Batch = { ...oneBatch(1)[0], batchId: "batch_20260101_000001", startsAt: 60 } as Batch;
  const setup = { ...deployed, name: "half a day in line", maxLoads: 1, maxWorkers: 1 };
  const outcome = await simulate({ ...bench, ...setup, batches: [endless, waiting], effects: false });
  const executions = outcome.executions.filter(({ batch }) => batch === waiting);
  return figuresOf(setup.name, { ...outcome, executions });
}
