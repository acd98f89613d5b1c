import { longestTurnWaitSeconds } from "../../lib/core/durations.ts";
import type { Facts } from "../facts.ts";
import type { Usage } from "../meter.ts";
import type { Recording } from "./recording.ts";

/** docs/scale.json: measurements and simulations. docs/scale.md and docs/cost.md are made of it. */
export type ScaleResults = {
  readonly facts: Facts;
  readonly recording: Recording;
  readonly simulated: Simulated;
  /** One load of the kind whose cost is shown. */
  readonly priced: Figures;
  /** One invocation of the functions outside the machine, in seconds. */
  readonly around: Readonly<Record<AroundName, Around>>;
  /** Resources of the stacks, by stage. */
  readonly stacks: Readonly<Record<Stage, StackCounts>>;
};

export type Simulated = {
  readonly sizes: readonly Figures[];
  readonly workers: readonly Figures[];
  readonly setups: readonly Figures[];
  readonly many: Figures;
  readonly line: Figures;
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
  /** Most batches that began a load before one that waited and was approved earlier. */
  readonly overtaken: number;
  readonly rows: number;
  readonly usage: Readonly<Record<string, number>>;
  readonly mostConnections: number;
  /** Growth of the ledger; not in results that are older than this figure. */
  readonly ledgerBytes?: number;
};

/** The functions outside the machine. */
export type AroundName = "sweep" | "start-load";
export type Around = Pick<Usage, "cpu" | "requests" | "logBytes"> & { readonly wall: number };

export const stages = ["dev", "prod"] as const;
export type Stage = (typeof stages)[number];

export type StackCounts = {
  readonly instance: string;
  /** Two if the database has a standby in another zone. */
  readonly instances: number;
  readonly storageGb: number;
  /** Interface endpoints times the zones they stand in. */
  readonly endpoints: number;
  readonly keys: number;
  readonly secrets: number;
  /** Metrics that alarms look at: each is billed. */
  readonly alarmMetrics: number;
  readonly dashboards: number;
  readonly queues: number;
};

/** Limits of Step Functions for one execution. */
export const mostEvents = 25_000;
export const mostPayload = 262_144;
/** A limit on overtaking: batches that get a place at the same time may begin in any order. */
const mostOvertaking = 20;

/** Claims of the page that do not hold, a line each. */
export function brokenClaims({ sizes, workers, setups, many, line }: Simulated): string[] {
  const all = [...sizes, ...workers, ...setups, many];
  return [...all.flatMap(brokenOf), ...[...setups, many].flatMap(brokenLoads), ...brokenLine(line)];
}

const of = ({ name, batches, fragments }: Figures): string => `${name} (${batches} batches, ${fragments} fragments)`;

function brokenOf(figures: Figures): string[] {
  const { events, largestPayload, failed } = figures;
  return [
    ...(events < mostEvents ? [] : [`${of(figures)}: got ${events} events, expected fewer than ${mostEvents}`]),
    ...(largestPayload < mostPayload
      ? []
      : [`${of(figures)}: got a payload of ${largestPayload} bytes, expected fewer than ${mostPayload}`]),
    ...(failed === 0 ? [] : [`${of(figures)}: got ${failed} batches that were not loaded, expected none`]),
  ];
}

function brokenLoads(figures: Figures): string[] {
  const { rows, fragments, overtaken } = figures;
  return [
    ...(rows === fragments ? [] : [`${of(figures)}: got ${rows} rows, expected one of each fragment`]),
    ...(overtaken < mostOvertaking
      ? []
      : [`${of(figures)}: got a batch that ${overtaken} later ones overtook, expected fewer than ${mostOvertaking}`]),
  ];
}

function brokenLine({ events, endedAfter }: Figures): string[] {
  return [
    ...(events < mostEvents ? [] : [`half a day in line: got ${events} events, expected fewer than ${mostEvents}`]),
    ...(endedAfter >= longestTurnWaitSeconds ? [] : [`half a day in line: it ended after ${endedAfter} s already`]),
  ];
}
