/** A seeded source of chance: the same seed gives the same values on every machine. */
export type Random = {
  /** Both ends included. */
  readonly int: (min: number, max: number) => number;
  /** Rounded to `digits` decimals, so that it fits a numeric column of that scale. */
  readonly decimal: (min: number, max: number, digits: number) => number;
  /** True in this share of the calls, 0 to 1. */
  readonly chance: (share: number) => boolean;
  readonly pick: <T>(choices: readonly T[]) => T;
  /** Upper case hexadecimal digits. */
  readonly hex: (digits: number) => string;
};

/** mulberry32: 32 bits of state are plenty for a sample, and it needs no package. */
export function openRandom(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    int,
    decimal: (min, max, digits) => Number((min + next() * (max - min)).toFixed(digits)),
    chance: (share) => next() < share,
    pick: (choices) => choices[int(0, choices.length - 1)] as (typeof choices)[number],
    hex: (digits) => Array.from({ length: digits }, () => int(0, 15).toString(16).toUpperCase()).join(""),
  };
}

/** One seed out of three numbers, so that each record has its own stream and can be made without the others. */
export function mixSeed(seed: number, stream: number, number: number): number {
  const mixed = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35);
  return Math.imul(mixed ^ (mixed >>> 13), 0x27d4eb2f) ^ Math.imul(number, 0x165667b1);
}
