import type { SoakSize } from "./plan.ts";

/** What CI runs. */
export const usualSize: SoakSize = { seed: 1, batches: 30, faults: 60 };
export const longSize: Omit<SoakSize, "seed"> = { batches: 300, faults: 1000 };
