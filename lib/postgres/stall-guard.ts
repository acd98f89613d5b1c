import type postgres from "postgres";
import { type LoaderError, TransientError } from "../core/errors.ts";
import type { Session } from "./connection.ts";

type Tx = postgres.ReservedSql;

/** What keeps a transaction from waiting for ever for a server or a network that says nothing any more. */
export type StallGuard = {
  /** The session's connection, which refuses to be asked when it is gone or out of time: the driver would crash. */
  readonly tx: Tx;
  /** Ends with the connection's fault where the work itself does not. */
  readonly race: <T>(work: Promise<T>) => Promise<T>;
  /** Runs a part of the transaction that has limits of its own: meanwhile the transaction's stands still. */
  readonly pause: <T>(work: () => Promise<T>) => Promise<T>;
  /** Runs what has to end within the limit of a stall. */
  readonly awaitProgress: <T>(work: () => Promise<T>) => Promise<T>;
  /** What the connection was given up for. */
  readonly fault: () => LoaderError | null;
  /** Why a connection was lost, where it was the server that had enough. */
  readonly timeout: (cause: unknown) => LoaderError | null;
  /** Never leaves a timer behind. */
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
    tx: guardSession(session, { fault: () => fault, allow: allowanceOf(session, budget) }),
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

const resetMilliseconds = 1_000;

/**
 * Gives every statement what is left of the budget: a limit of the server for the whole transaction costs the
 * connection, and only newer servers have it.
 *
 * @throws TransientError DB_TIMEOUT where nothing is left
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
    // Sent together with the statement. Refused where the transaction is broken; then so is the statement.
    tx.unsafe(`set local statement_timeout = '${left}ms'`).catch(() => undefined);
  };
}

function outOfTime(budget: number, cause?: unknown): LoaderError {
  return new TransientError("DB_TIMEOUT", `the transaction ran into its time limit of ${budget} s`, { cause });
}

type SessionGuard = { readonly fault: () => LoaderError | null; readonly allow: () => void };

function guardSession(session: Session, { fault, allow }: SessionGuard): Tx {
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
