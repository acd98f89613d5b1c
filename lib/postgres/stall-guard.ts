import { type LoaderError, TransientError } from "../core/errors.ts";
import type { Session } from "./connection.ts";

/** Keeps a transaction from waiting for ever for a server or a network that no longer answers. */
export type StallGuard = {
  /** The session's connection. A statement throws if the connection is gone or out of time: the driver would crash. */
  readonly tx: Session["tx"];
  /** Settles as the work does, or rejects with the fault of a connection that is given up. */
  readonly race: <T>(work: Promise<T>) => Promise<T>;
  /** Runs a part of the transaction that has limits of its own; the transaction's own time begins again after it. */
  readonly pause: <T>(work: () => Promise<T>) => Promise<T>;
  /** Runs work that has to end within the limit of a stall. */
  readonly awaitProgress: <T>(work: () => Promise<T>) => Promise<T>;
  /** DB_STALLED if the connection was given up, else null. */
  readonly fault: () => LoaderError | null;
  /** DB_TIMEOUT if the budget is used up, so that it was the server that closed a lost connection; else null. */
  readonly timeout: (cause: unknown) => LoaderError | null;
  /** Clears the timer of the transaction. */
  readonly stop: () => void;
};

export function openStallGuard(session: Session, budget: number | undefined): StallGuard {
  const { limits } = session;
  const given = Promise.withResolvers<never>();
  given.promise.catch(() => undefined);
  let fault: LoaderError | null = null;
  const giveUp = (seconds: number): void => {
    const text = `no answer of the database for ${seconds} s; the connection is given up and the step starts again`;
    fault ??= new TransientError("DB_STALLED", text);
    session.destroy(fault);
    given.reject(fault);
  };
  const arm = (seconds: number): NodeJS.Timeout => setTimeout(() => giveUp(seconds), seconds * 1000);
  const race = <T>(work: Promise<T>): Promise<T> => Promise.race([work, given.promise]);
  const total = budget === undefined ? limits.transaction : budget + limits.grace;
  const ends = performance.now() + (budget ?? 0) * 1000;
  let timer = arm(total);
  return {
    tx: guardSession(session, () => fault, allowanceOf(session, budget)),
    race,
    pause: async (work) => {
      clearTimeout(timer);
      try {
        return await race(work());
      } finally {
        timer = arm(total);
      }
    },
    awaitProgress: async (work) => {
      const own = arm(limits.stall);
      try {
        return await race(work());
      } finally {
        clearTimeout(own);
      }
    },
    fault: () => fault,
    timeout: (cause) => (budget !== undefined && performance.now() >= ends ? outOfTime(budget, cause) : null),
    stop: () => clearTimeout(timer),
  };
}

/** Milliseconds in which statements keep the limit that was set last. */
const resetMilliseconds = 1_000;

/**
 * Limits each statement to what is left of the budget. The server's limit for a whole transaction would close the
 * connection, and PostgreSQL 16 has none.
 *
 * @returns a check to call before each statement, which throws TransientError DB_TIMEOUT if nothing is left
 */
function allowanceOf({ tx }: Session, budget: number | undefined): () => void {
  if (budget === undefined) return () => undefined;
  const ends = performance.now() + budget * 1000;
  let setAt = performance.now();
  return () => {
    const now = performance.now();
    const left = Math.floor(ends - now);
    if (left <= 0) throw outOfTime(budget);
    if (now - setAt < resetMilliseconds) return;
    setAt = now;
    // Sent together with the statement. A transaction that is broken refuses both.
    tx.unsafe(`set local statement_timeout = '${left}ms'`).catch(() => undefined);
  };
}

function outOfTime(budget: number, cause?: unknown): LoaderError {
  return new TransientError("DB_TIMEOUT", `the transaction ran into its time limit of ${budget} s`, { cause });
}

function guardSession(session: Session, fault: () => LoaderError | null, allow: () => void): Session["tx"] {
  const check = (): void => {
    const given = fault();
    if (given) throw given;
    if (!session.isOpen()) throw new TransientError("DB_CONNECTION_LOST", "the connection was lost in a transaction");
    allow();
  };
  return new Proxy(session.tx, {
    apply: (tx, self, args) => {
      check();
      return Reflect.apply(tx, self, args);
    },
    get: (tx, name) => {
      if (name === "unsafe") check();
      return Reflect.get(tx, name);
    },
  });
}
