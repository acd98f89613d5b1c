import type { VirtualClock } from "./clock.ts";

/** So many places, and how much they were used: a function's reserved concurrency, the processors of a server. */
export type Gate = {
  readonly places: number;
  /** False where every place is taken. */
  tryEnter(): boolean;
  /** Waits for a place, first come, first served. */
  enter(): Promise<void>;
  exit(): void;
  taken(): number;
  /** The share of the places that was taken since the beginning, on average. */
  usage(): number;
};

export function openGate(clock: VirtualClock, places: number): Gate {
  const waiting: (() => void)[] = [];
  let taken = 0;
  let since = 0;
  let area = 0;
  const count = (change: number): void => {
    area += taken * (clock.now() - since);
    since = clock.now();
    taken += change;
  };
  return {
    places,
    tryEnter: () => {
      if (taken >= places) return false;
      count(1);
      return true;
    },
    enter: async () => {
      if (taken < places) return count(1);
      const { woken, wake } = clock.suspend();
      waiting.push(wake);
      await woken;
    },
    exit: () => {
      // the place is handed over: whoever is woken has it already
      const next = waiting.shift();
      if (next) next();
      else count(-1);
    },
    taken: () => taken,
    usage: () => (clock.now() === 0 ? 0 : (area + taken * (clock.now() - since)) / (clock.now() * places)),
  };
}
