import { functionSizes } from "../../lib/infra/capacity.ts";
import { movesAtOnce } from "../../lib/steps/archive-fragments.ts";
import { type RequestKind, requestKinds } from "../meter.ts";
import { type Line, valueAt } from "./fit.ts";

/** The recorded costs of every step, and the durations that they are assumed to mean on AWS. */

/** The steps of a load, by the names of their handlers. */
export const phases = [
  "validate-batch",
  "stage-fragments",
  "commit-batch",
  "archive-fragments",
  "close-batch",
] as const;
export type Phase = (typeof phases)[number];

/** Costs of one step, as lines over fragments and records. Times in seconds. */
export type Recorded = {
  /** From call to answer. */
  readonly wall: Line;
  /** Processor time of the function. */
  readonly cpu: Line;
  /** Processor time of the database server. */
  readonly database: Line;
  readonly logBytes: Line;
  readonly requests: Readonly<Record<RequestKind, Line>>;
};

export type Recording = {
  readonly sizes: readonly Size[];
  readonly rounds: number;
  readonly phases: Readonly<Record<Phase, Recorded>>;
};

export type Size = { readonly fragments: number; readonly records: number };

/** Memory at which Lambda gives one whole processor; below it, a share of one by memory. */
export const processorMb = 1_769;
/** Time until S3 begins its answer to a request for a small object: AWS says 100 to 200 ms. */
export const requestSeconds = 0.1;
/** Requests of one invocation that wait for the bucket at the same time. */
const requestsAtOnce: Partial<Readonly<Record<Phase, number>>> = { "archive-fragments": movesAtOnce };

/** Seconds that a piece of work takes. */
export type Work = {
  /** Time of the function alone: its share of a processor, and waiting for the bucket. */
  readonly lambda: number;
  /** Time of one of the database's processors. */
  readonly database: number;
};

export const noWork: Work = { lambda: 0, database: 0 };

/** Durations of a phase: once, for each fragment, and for each record. */
type PhaseDurations = { readonly base: Work; readonly perFragment: Work; readonly perRecord: Work };
export type Durations = Readonly<Record<Phase, PhaseDurations>>;

export function durationsOf(recording: Recording): Durations {
  const durations = Object.entries(recording.phases).map(([phase, recorded]) => [
    phase,
    phaseDurations(phase as Phase, recorded),
  ]);
  return Object.fromEntries(durations) as Durations;
}

function phaseDurations(phase: Phase, { cpu, database, requests }: Recorded): PhaseDurations {
  const slower = processorMb / functionSizes[phase].memoryMb;
  const waiting = requestSeconds / (requestsAtOnce[phase] ?? 1);
  const part = (of: (line: Line) => number): Work => ({
    lambda: of(cpu) * slower + requestKinds.reduce((sum, kind) => sum + of(requests[kind]), 0) * waiting,
    database: of(database),
  });
  return {
    base: part(({ base }) => base),
    perFragment: part(({ perFragment }) => perFragment),
    perRecord: part(({ perRecord }) => perRecord),
  };
}

export function workOf({ base, perFragment, perRecord }: PhaseDurations, fragments: number, records: number): Work {
  const sum = (of: (work: Work) => number): number =>
    valueAt({ base: of(base), perFragment: of(perFragment), perRecord: of(perRecord) }, fragments, records);
  return { lambda: sum(({ lambda }) => lambda), database: sum(({ database }) => database) };
}
