import type { Facts } from "../facts.ts";
import type { Usage } from "../meter.ts";
import type { Simulated } from "./claims.ts";
import type { Figures } from "./experiments.ts";
import type { Recording } from "./record.ts";

/** docs/scale.json: what was measured and simulated. docs/scale.md and docs/cost.md are made of it. */
export type ScaleResults = {
  readonly facts: Facts;
  readonly recording: Recording;
  readonly simulated: Simulated;
  /** One load of the kind whose cost is shown. */
  readonly priced: Figures;
  /** One invocation of the functions outside the machine, in seconds. */
  readonly around: Readonly<Record<AroundName, Around>>;
  /** What the stack is made of, by stage. */
  readonly stacks: Readonly<Record<Stage, StackCounts>>;
};

export const aroundNames = ["sweep", "start-load"] as const;
export type AroundName = (typeof aroundNames)[number];
export type Around = Pick<Usage, "cpu" | "requests" | "logBytes"> & { readonly wall: number };

export const stages = ["dev", "prod"] as const;
export type Stage = (typeof stages)[number];

export type StackCounts = {
  readonly instance: string;
  /** Two where the database has a standby in another zone. */
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
