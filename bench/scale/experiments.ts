import { functionSizes, type HandlerName, maxConnectionsOf } from "../../lib/infra/capacity.ts";
import { mixSeed } from "../../lib/local/sample/values.ts";
import type { Batch } from "./replay.ts";
import type { Figures } from "./results.ts";
import { type EndedExecution, type Outcome, type SimulationOptions, simulate } from "./simulate.ts";

/** The simulations of the page, and their figures. */

/** One configuration of deployment and database. */
type Setup = {
  readonly name: string;
  readonly maxWorkers: number;
  readonly maxLoads: number;
  readonly processors: number;
  readonly maxConnections: number;
  readonly reserved?: Partial<Record<HandlerName, number>>;
};

const stageShare = functionSizes["stage-fragments"].connections ?? 1;
const commitShare = functionSizes["commit-batch"].connections ?? 1;

/** The deployment of stage prod. */
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

/** Shared by all simulations: a server, the machine, the recorded durations. */
export type Simulator = Pick<SimulationOptions, "server" | "definition" | "durations">;

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

/** Fragments up to which all steps really run; in larger batches the steps after the planner take their time and do nothing: a real load would take minutes. */
const mostRealFragments = 1_000;

export async function run(simulator: Simulator, setup: Setup, batches: readonly Batch[]): Promise<Figures> {
  const effects = batches.every(({ fragments }) => fragments <= mostRealFragments);
  const options: SimulationOptions = { ...simulator, ...setup, batches, effects };
  return figuresOf(setup.name, await simulate(options));
}

function figuresOf(name: string, { executions, ...rest }: Outcome): Figures {
  const sum = (of: (execution: EndedExecution) => number): number =>
    executions.reduce((total, one) => total + of(one), 0);
  const most = (of: (execution: EndedExecution) => number): number => Math.max(...executions.map(of));
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

/** Counts among batches that were in line together: a batch that comes later cannot have waited for its turn. */
export function mostOvertaken(executions: readonly Pick<EndedExecution, "batch" | "admittedAt">[]): number {
  const lastStart = Math.max(...executions.map(({ batch }) => batch.startsAt));
  const settled = executions.filter(({ admittedAt }) => (admittedAt ?? 0) > lastStart + settleSeconds);
  const overtaking = (one: (typeof settled)[number]): number =>
    settled.filter(
      (other) => other.batch.approvedAt > one.batch.approvedAt && (other.admittedAt ?? 0) < (one.admittedAt ?? 0),
    ).length;
  return Math.max(0, ...settled.map(overtaking));
}

/** After so long every batch has asked for its turn, even if its first calls were refused. */
const settleSeconds = 60;

/** Works for longer than an execution stands in line; it renews its lease every quarter of an hour. */
const endless: Batch = {
  ...{ batchId: "batch_20260101_000000", fragments: 2_500, recordsPerFragment: 700_000, bytes: 1_000 },
  ...{ approvedAt: -2, startsAt: 0 },
};

/** A batch that never gets its turn: one other load holds the only place. Answers its figures alone. */
export async function standInLine(simulator: Simulator): Promise<Figures> {
  const waiting: Batch = { ...oneBatch(1)[0], batchId: "batch_20260101_000001", startsAt: 60 } as Batch;
  const setup = { ...deployed, name: "half a day in line", maxLoads: 1, maxWorkers: 1 };
  const outcome = await simulate({ ...simulator, ...setup, batches: [endless, waiting], effects: false });
  const executions = outcome.executions.filter(({ batch }) => batch === waiting);
  return figuresOf(setup.name, { ...outcome, executions });
}
