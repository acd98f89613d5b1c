/**
 * A clock that only moves when nobody has anything to do: a discrete-event simulation whose processes are ordinary
 * async functions. A thread that awaits anything but this clock (a database, say) holds the time still meanwhile.
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
  /** The calling thread waits until somebody wakes it; the answer says how it is woken. */
  suspend(): { readonly woken: Promise<void>; readonly wake: () => void };
  /** Settled when every thread has ended or waits for ever. */
  readonly finished: Promise<void>;
};

type Sleeper = { readonly at: number; readonly order: number; readonly wake: () => void };

export function openClock(): VirtualClock {
  const sleepers = openHeap();
  const finished = Promise.withResolvers<void>();
  let now = 0;
  let order = 0;
  // the caller counts as the first thread, and leaves when it has begun all others
  let awake = 1;
  const add = (seconds: number, wake: () => void): void => {
    order += 1;
    sleepers.push({ at: now + Math.max(0, seconds), order, wake });
  };
  const rest = (): void => {
    awake -= 1;
    if (awake > 0) return;
    const next = sleepers.pop();
    if (next === undefined) {
      finished.resolve();
      return;
    }
    now = next.at;
    awake = 1;
    next.wake();
  };
  return {
    now: () => now,
    sleep: (seconds) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      add(seconds, resolve);
      rest();
      return promise;
    },
    begin: add,
    fork: (more) => {
      awake += more;
    },
    leave: rest,
    suspend: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => {
        awake += 1;
        resolve();
      };
      rest();
      return { woken: promise, wake };
    },
    finished: finished.promise,
  };
}

const isBefore = (one: Sleeper, other: Sleeper): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order);

/** A binary heap: the next one to wake first. */
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
