/**
 * A clock that moves only when no thread has anything to do: a discrete-event simulation whose processes are ordinary
 * async functions. While a thread awaits anything but this clock (a database, say) the time stands still.
 */
export type VirtualClock = {
  /** Seconds since the beginning. */
  now(): number;
  /** Lets the calling thread sleep for so many seconds. */
  sleep(seconds: number): Promise<void>;
  /** Begins a thread in so many seconds; it has to end with `leave`. */
  begin(seconds: number, thread: () => void): void;
  /** The calling thread goes on as so many more. */
  fork(more: number): void;
  /** The calling thread ends. */
  leave(): void;
  /** The calling thread waits until it is woken by a call of `wake`. */
  suspend(): { readonly woken: Promise<void>; readonly wake: () => void };
  /** Settled when every thread has ended or waits for ever. */
  readonly finished: Promise<void>;
};

type Sleeper = { readonly at: number; readonly order: number; readonly wake: () => void };

/** The caller counts as the first thread, and leaves when it has begun all others. */
export function openClock(): VirtualClock {
  const sleepers = openHeap();
  const finished = Promise.withResolvers<void>();
  const state = { now: 0, order: 0, awake: 1 };
  const begin = (seconds: number, wake: () => void): void => {
    state.order += 1;
    sleepers.push({ at: state.now + Math.max(0, seconds), order: state.order, wake });
  };
  const leave = (): void => {
    state.awake -= 1;
    if (state.awake > 0) return;
    const next = sleepers.pop();
    if (next === undefined) finished.resolve();
    else {
      Object.assign(state, { now: next.at, awake: 1 });
      next.wake();
    }
  };
  return {
    ...{ now: () => state.now, begin, leave, finished: finished.promise },
    fork: (more) => {
      state.awake += more;
    },
    sleep: (seconds) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      begin(seconds, resolve);
      leave();
      return promise;
    },
    suspend: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      leave();
      const wake = (): void => {
        state.awake += 1;
        resolve();
      };
      return { woken: promise, wake };
    },
  };
}

const isBefore = (one: Sleeper, other: Sleeper): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order);

/** A binary heap; the first item is the next one to wake. */
function openHeap() {
  const items: Sleeper[] = [];
  const swap = (a: number, b: number): void => {
    [items[a], items[b]] = [items[b] as Sleeper, items[a] as Sleeper];
  };
  const isLess = (a: number, b: number): boolean => isBefore(items[a] as Sleeper, items[b] as Sleeper);
  return {
    push(item: Sleeper): void {
      let index = items.push(item) - 1;
      for (let parent = (index - 1) >> 1; index > 0 && isLess(index, parent); parent = (index - 1) >> 1) {
        swap(index, parent);
        index = parent;
      }
    },
    pop(): Sleeper | undefined {
      const first = items[0];
      const last = items.pop();
      if (first === undefined || last === undefined || items.length === 0) return first;
      items[0] = last;
      for (let index = 0; ; ) {
        const children = [2 * index + 1, 2 * index + 2].filter((child) => child < items.length);
        const least = children.reduce((best, child) => (isLess(child, best) ? child : best), index);
        if (least === index) return first;
        swap(index, least);
        index = least;
      }
    },
  };
}

/** A number of places and their usage: a function's reserved concurrency, or the processors of a server. */
export type Gate = {
  readonly places: number;
  /** False if every place is taken. */
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
      // The place passes to the thread that is woken.
      const next = waiting.shift();
      if (next) next();
      else count(-1);
    },
    taken: () => taken,
    usage: () => (clock.now() === 0 ? 0 : (area + taken * (clock.now() - since)) / (clock.now() * places)),
  };
}
