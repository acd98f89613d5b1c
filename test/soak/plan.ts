import { openRandom, sample } from "../faults/lab/random.ts";

/** The plan of a soak, decided by its seed alone: the batches in their order, and the faults with their times. */

export type BatchKind = "new rows" | "changed rows" | "many parts" | "broken record" | "delivered twice";

export type FaultKind =
  | "worker killed before an effect"
  | "worker killed after an effect"
  | "request lost"
  | "reply lost"
  | "backend killed"
  | "server crashed"
  | "server killed"
  | "server stopped for a while"
  | "executions lost"
  | "S3 asks to slow down"
  | "S3 body cut";

export type PlannedFault = {
  readonly kind: FaultKind;
  /** Exchanges between the fault before it and this one. */
  readonly afterExchanges: number;
};

export type SoakPlan = { readonly batches: readonly BatchKind[]; readonly faults: readonly PlannedFault[] };

export type SoakSize = { readonly seed: number; readonly batches: number; readonly faults: number };

/** The size of the soak in CI. */
export const usualSize: SoakSize = { seed: 1, batches: 30, faults: 60 };
export const longSize: Omit<SoakSize, "seed"> = { batches: 300, faults: 1000 };

const batchWeights: Readonly<Record<BatchKind, number>> = {
  "new rows": 8,
  "changed rows": 5,
  "many parts": 3,
  "broken record": 2,
  "delivered twice": 2,
};

const faultWeights: Readonly<Record<FaultKind, number>> = {
  "worker killed before an effect": 6,
  "worker killed after an effect": 6,
  "request lost": 2,
  "reply lost": 3,
  "backend killed": 2,
  "server crashed": 1,
  "server killed": 1,
  "server stopped for a while": 1,
  "executions lost": 2,
  "S3 asks to slow down": 1,
  "S3 body cut": 1,
};

/** A load has some eighty exchanges, and several loads run at a time: most faults meet another one. */
const mostExchanges = 40;

export function planSoak({ seed, batches, faults }: SoakSize): SoakPlan {
  const random = openRandom(seed);
  return {
    batches: draw(random, batchWeights, batches),
    faults: draw(random, faultWeights, faults).map((kind) => ({
      kind,
      afterExchanges: 1 + Math.floor(random() * mostExchanges),
    })),
  };
}

export const batchKinds = Object.keys(batchWeights);
export const faultKinds = Object.keys(faultWeights);

/** Every kind once, so that no seed leaves one out; then at random. */
function draw<Kind extends string>(
  random: () => number,
  weights: Readonly<Record<Kind, number>>,
  count: number,
): Kind[] {
  const first = sample(random, Object.keys(weights) as Kind[], count);
  return [...first, ...Array.from({ length: count - first.length }, () => choose(random, weights))];
}

function choose<Kind extends string>(random: () => number, weights: Readonly<Record<Kind, number>>): Kind {
  const entries = Object.entries(weights) as [Kind, number][];
  let left = random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [kind, weight] of entries) {
    left -= weight;
    if (left < 0) return kind;
  }
  return (entries.at(-1) as [Kind, number])[0];
}
