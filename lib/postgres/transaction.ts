import type postgres from "postgres";
import { classifyDatabaseError, isConnectionLost } from "../core/classify-error.ts";
import { deadClientSeconds, lockWaitSeconds } from "../core/durations.ts";
import { LoaderError, TransientError } from "../core/errors.ts";
import type { LedgerTransaction } from "../core/target.ts";
import { openSession, type Session } from "./connection.ts";
import { openStallGuard, type StallGuard } from "./stall-guard.ts";

export type Tx = postgres.ReservedSql;

/** Passes a transaction through the port of a target, which knows nothing of PostgreSQL. */
export const shareTransaction = (tx: Tx): LedgerTransaction => tx as unknown as LedgerTransaction;

/** The transaction that `shareTransaction` was given. */
export const sharedTransaction = (within: LedgerTransaction): Tx => within as unknown as Tx;

export type TransactionOptions = {
  /** @default "read committed" */
  readonly isolation?: "read committed" | "repeatable read";
  /** Seconds of the whole transaction, after which the server ends it. @default none; the client gives up after 60 s */
  readonly budget?: number | undefined;
  /**
   * False if COMMIT does not wait for the disk, so that a crash of the server may take the transaction back. For work
   * that is done again then: taking an item, and staging, whose tables such a crash empties anyway. The next durable
   * commit makes this one durable, too. @default true
   */
  readonly durable?: boolean;
  /** Milliseconds that a statement waits for a lock of another session. @default 20,000 */
  readonly lockMilliseconds?: number;
};

/** For statements that write all fragments of a batch at once: 100,000 take some seconds on an idle server. */
export const wholeBatch = { budget: 300 } as const satisfies TransactionOptions;

/** Result of work whose transaction is to be rolled back. */
export class RolledBack<T> {
  readonly value: T;

  constructor(value: T) {
    this.value = value;
  }
}

/** Seconds; timers count milliseconds in 31 bits. */
const longestBudget = 1_000_000;

type Work<T> = (tx: Tx, stallGuard: StallGuard) => Promise<T | RolledBack<T>>;

/**
 * Runs `work` in a transaction on a connection of its own, and checks the tag of COMMIT: a server answers the commit of
 * an aborted transaction with ROLLBACK and without any error. Errors are classified. It ends in time even if the server
 * or the network no longer answers.
 *
 * @throws TransientError DB_STALLED if the connection had to be given up
 */
export async function inTransaction<T>(sql: postgres.Sql, options: TransactionOptions, work: Work<T>): Promise<T> {
  const budget = options.budget === undefined ? undefined : Math.min(Math.max(options.budget, 1), longestBudget);
  return inSession(sql, budget, (session, stallGuard) =>
    runTransaction(session, { ...options, budget }, stallGuard, work),
  );
}

/**
 * Runs statements as one transaction that the server ends by itself, whatever happens to the client meanwhile. Unlogged
 * tables are made this way: if a transaction that made one is rolled back, and the server crashes before that is on the
 * disk, then it finds the table's emptied file in place, and PostgreSQL does not start again ("could not create file
 * ...: File exists").
 *
 * @param statements without parameters
 */
export async function inOneMessage(
  sql: postgres.Sql,
  statements: readonly string[],
  options: Pick<TransactionOptions, "lockMilliseconds"> = {},
): Promise<void> {
  await inSession(sql, undefined, async (session, { tx }) => {
    await tx.unsafe([...settingsOf(session, options), ...statements].join("; "));
  });
}

async function inSession<T>(
  sql: postgres.Sql,
  budget: number | undefined,
  work: (session: Session, stallGuard: StallGuard) => Promise<T>,
): Promise<T> {
  const session = await openSession(sql).catch((error: unknown) => {
    throw classifyDatabaseError(error) ?? error;
  });
  const stallGuard = openStallGuard(session, budget);
  try {
    return await stallGuard.race(work(session, stallGuard));
  } catch (error) {
    const fault = stallGuard.fault();
    await rollBack(session, stallGuard, error);
    const classified = classifyDatabaseError(error) ?? (session.isOpen() ? error : lostDuring(error));
    if (fault === null && hasCode(classified, "DB_LOCK_TIMEOUT")) {
      throw await stallGuard.awaitProgress(() => nameHolders(session.tx, error));
    }
    throw fault ?? (hasCode(classified, "DB_CONNECTION_LOST") ? stallGuard.timeout(error) : null) ?? classified;
  } finally {
    stallGuard.stop();
    session.release();
  }
}

async function runTransaction<T>(
  session: Session,
  options: TransactionOptions,
  stallGuard: StallGuard,
  work: Work<T>,
): Promise<T> {
  const { tx } = stallGuard;
  // In one message: with small fragments, every round trip counts.
  const begin = `begin isolation level ${options.isolation ?? "read committed"}`;
  await tx.unsafe([begin, ...settingsOf(session, options)].join("; "));
  const result = await work(tx, stallGuard);
  if (result instanceof RolledBack) {
    await tx`rollback`;
    return result.value;
  }
  const { command } = await tx`commit`;
  if (command !== "COMMIT") throw new TransientError("DB_NOT_COMMITTED", `the server answered COMMIT with ${command}`);
  return result;
}

/** Rolls back, or closes a connection that is lost or does not answer, so that it is not used again. */
async function rollBack({ tx, isOpen, destroy }: Session, stallGuard: StallGuard, cause: unknown): Promise<void> {
  try {
    if (isConnectionLost(cause) || !isOpen()) throw cause;
    await stallGuard.awaitProgress(async () => tx`rollback`);
  } catch (error) {
    destroy(error);
  }
}

const hasCode = (error: unknown, code: string): boolean => error instanceof LoaderError && error.code === code;

/** The error of work whose connection is gone: its own one says more if the step threw it. */
function lostDuring(cause: unknown): unknown {
  if (cause instanceof LoaderError) return cause;
  return new TransientError("DB_CONNECTION_LOST", "the connection was lost in a transaction; the step starts again", {
    cause,
  });
}

/** Milliseconds beyond the budget, so that the last statement ends by its own limit first. */
const transactionMargin = 5_000;

/**
 * Settings that end with the transaction, since a proxy may give the connection to another client after it. A killed
 * Lambda leaves its session behind: the server ends an idle one, checks during a statement whether its client is still
 * there, and notices within a minute that a host is gone without closing its connection.
 */
function settingsOf({ limits, serverVersion }: Session, options: TransactionOptions): string[] {
  const { budget, durable = true } = options;
  const settings = [
    `lock_timeout = ${options.lockMilliseconds ?? lockWaitSeconds * 1000}`,
    `idle_in_transaction_session_timeout = '${limits.idle}s'`,
    `client_connection_check_interval = '${limits.check}s'`,
    "tcp_keepalives_idle = 15",
    "tcp_keepalives_interval = 10",
    "tcp_keepalives_count = 3",
    `tcp_user_timeout = '${deadClientSeconds}s'`,
    "timezone = 'UTC'",
    "datestyle = 'ISO, YMD'",
    "intervalstyle = 'iso_8601'",
    "client_min_messages = 'warning'",
  ];
  if (!durable) settings.push("synchronous_commit = off");
  if (budget !== undefined) {
    const milliseconds = Math.floor(budget * 1000);
    settings.push(`statement_timeout = ${milliseconds}`);
    const longest = milliseconds + transactionMargin;
    // Ends the session of a client that is gone, also between two statements.
    if (hasCapability(serverVersion, "transactionTimeout")) {
      // A limit of the role or the database is running already, and keeps its time unless it is stopped.
      settings.push("transaction_timeout = 0", `transaction_timeout = ${longest}`);
    }
  }
  return settings.map((setting) => `set local ${setting}`);
}

/**
 * The fault of a lock that was waited for too long, with tables and the processes that lock them, nothing else. The
 * server no longer knows by then which lock it was: the processes are those with locks on what the statement names.
 *
 * @param session one whose transaction is rolled back, so that it holds no lock while it asks
 */
async function nameHolders(session: postgres.ReservedSql, cause: unknown): Promise<TransientError> {
  const holders = await readHolders(session, cause).catch(() => []);
  const named = holders.map(({ relation, pids }) => `${relation} by process ${pids}`).join(", ");
  const who = named === "" ? "by another session, which has ended" : `: ${named}`;
  const text = `a table or row stayed locked${named === "" ? " " : ""}${who}; it is tried again`;
  return new TransientError("DB_LOCK_TIMEOUT", text, { holders, cause });
}

type Holder = { readonly relation: string; readonly pids: string };

const mostHolders = 5;

/**
 * Looks for tables named in the statement, which is the loader's own, and in `where`, in which the server names the
 * table of a row's lock. A query of the catalog waits for an exclusive lock of a table that it does not name.
 */
async function readHolders(session: postgres.ReservedSql, cause: unknown): Promise<readonly Holder[]> {
  const { query = "", where = "" } = cause as { readonly query?: string; readonly where?: string };
  return session<Holder[]>`
    select format('%I.%I', n.nspname, c.relname) as relation, string_agg(distinct l.pid::text, ', ') as pids
    from pg_locks l
    join pg_class c on c.oid = l.relation
    join pg_namespace n on n.oid = c.relnamespace
    cross join lateral (select position(c.relname in ${`${query} ${where}`}::text) > 0 as is_named) asked
    where l.granted and l.pid <> pg_backend_pid() and l.mode <> 'AccessShareLock' and c.relkind in ('r', 'p')
      and l.database = (select oid from pg_database where datname = current_database())
      and n.nspname <> 'table_loader_staging'
      and (asked.is_named or l.mode = 'AccessExclusiveLock')
    group by 1, asked.is_named order by asked.is_named desc, max(length(c.relname)) desc limit ${mostHolders}
  `;
}

/** First major version of each feature that not all supported servers have: they begin at 16. */
const firstVersions = {
  /** The setting `transaction_timeout`; without it, each statement is limited to what is left of the time. */
  transactionTimeout: 17,
} as const;

/** @param version as the server reports it: `16.10`, `18beta1` */
export function hasCapability(version: string, capability: keyof typeof firstVersions): boolean {
  return Number.parseInt(version, 10) >= firstVersions[capability];
}
