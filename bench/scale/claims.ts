import { longestTurnWaitSeconds } from "../../lib/core/durations.ts";
import type { Figures } from "./experiments.ts";

/** What Step Functions allows one execution, and what a plan for size stands on. */

export const mostEvents = 25_000;
export const mostPayload = 262_144;

export type Simulated = {
  readonly sizes: readonly Figures[];
  readonly workers: readonly Figures[];
  readonly setups: readonly Figures[];
  readonly many: Figures;
  readonly line: Figures;
};

/** What does not hold, a line each. */
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

/** As many may begin at a time as there are places; among these, who asks first goes first. */
export const mostOvertaking = 20;

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
