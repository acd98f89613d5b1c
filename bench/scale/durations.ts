import { functionSizes } from "../../lib/infra/capacity.ts";
import { movesAtOnce } from "../../lib/steps/archive-fragments.ts";
import { requestKinds } from "../meter.ts";
import type { Turns } from "./fit.ts";
import { valueAt } from "./fit.ts";
import type { Phase, Recorded, Recording } from "./record.ts";

/** What was recorded on this machine, as seconds on AWS. What is assumed stands here, and on the page. */

/** Memory at which Lambda gives one whole processor; below it, a share of one by memory. */
export const processorMb = 1_769;
/** Requests of one invocation that wait for the bucket at the same time. */
const requestsAtOnce: Partial<Readonly<Record<Phase, number>>> = { "archive-fragments": movesAtOnce };
/** What S3 takes to begin its answer to a request for a small object: AWS says 100 to 200 ms. */
export const requestSeconds = 0.1;

/** What a piece of work takes, in seconds. */
export type Work = {
  /** In the function alone: its processor's share, and waiting for the bucket. */
  readonly lambda: number;
  /** Of one of the database's processors. */
  readonly database: number;
};

/** What a phase takes once, for each fragment, and for each record. */
export type PhaseCost = { readonly base: Work; readonly perFragment: Work; readonly perRecord: Work };
export type Costs = Readonly<Record<Phase, PhaseCost>>;

export function costsOf(recording: Recording): Costs {
  const costs = Object.entries(recording.phases).map(([phase, recorded]) => [phase, costOf(phase as Phase, recorded)]);
  return Object.fromEntries(costs) as Costs;
}

function costOf(phase: Phase, { cpu, database, requests }: Recorded): PhaseCost {
  const slower = processorMb / functionSizes[phase].memoryMb;
  const waiting = requestSeconds / (requestsAtOnce[phase] ?? 1);
  const part = (of: (line: Turns) => number): Work => ({
    lambda: of(cpu) * slower + requestKinds.reduce((sum, kind) => sum + of(requests[kind]), 0) * waiting,
    database: of(database),
  });
  return {
    base: part(({ base }) => base),
    perFragment: part(({ perFragment }) => perFragment),
    perRecord: part(({ perRecord }) => perRecord),
  };
}

export function workOf({ base, perFragment, perRecord }: PhaseCost, fragments: number, records: number): Work {
  const sum = (of: (work: Work) => number): number =>
    valueAt({ base: of(base), perFragment: of(perFragment), perRecord: of(perRecord) }, fragments, records);
  return { lambda: sum(({ lambda }) => lambda), database: sum(({ database }) => database) };
}
