import type postgres from "postgres";
import { classifyDatabaseError, isConnectionLost } from "../core/classify-error.ts";
import { deadClientSeconds, lockWaitSeconds } from "../core/durations.ts";
import { LoaderError, TransientError } from "../core/errors.ts";
import type { LedgerTransaction } from "../core/target.ts";
import { openSession, type Session } from "./connection.ts";
import { openStallGuard, type StallGuard } from "./stall-guard.ts";

export type Tx = postgres.ReservedSql;

/** Hands a transaction through the port of a target, which knows nothing of PostgreSQL. */
export const shareTransaction = (tx: Tx): LedgerTransaction => tx as unknown as LedgerTransaction;

/** The transaction that `shareTransaction` was given. */
export const sharedTransaction = (within: LedgerTransaction): Tx => within as unknown as Tx;

export type TransactionOptions = {
  /** @default "read committed" */
  readonly isolation?: "read committed" | "repeatable read";
  /** Seconds for all of it, after which the server ends it. @default none; the client gives it up after a minute */
  readonly budget?: number | undefined;
  /**
   * False: COMMIT does not wait for the disk. For what a crash of the server may take back, because it is done again
   * then: taking an item, and staging, whose rows such a crash empties anyway. A later durable commit covers it.
   * @default true
   */
  readonly durable?: boolean;
  /** Milliseconds that a statement waits for somebody's lock. @default 20,000 */
  readonly lockMilliseconds?: number;
};

/** For what is written for every fragment of a batch at once: of 100,000 it takes some seconds on a server at rest. */
export const wholeBatch = { budget: 300 } as const satisfies TransactionOptions;

/** A result whose transaction is rolled back. */
export class RolledBack<T> {
  readonly value: T;

  constructor(value: T) {
    this.value = value;
  }
}

/** In milliseconds; the last statement ends by its own limit. */
const transactionMargin = 5_000;
/** In seconds; timers count milliseconds in 31 bits. */
const longestBudget = 1_000_000;

/**
 * Runs `work` in a transaction on a connection of its own, and looks at the tag of COMMIT: a server answers the commit
 * of an aborted transaction with ROLLBACK and without any error. Errors come out classified. It ends in time, also
 * where neither server nor network says anything any more.
 *
 * @throws TransientError DB_STALLED where the connection had to be given up
 */
export async function inTransaction<T>(
  sql: postgres.Sql,
  options: TransactionOptions,
  work: (tx: Tx, stallGuard: StallGuard) => Promise<T | RolledBack<T>>,
): Promise<T> {
  const budget = options.budget === undefined ? undefined : Math.min(Math.max(options.budget, 1), longestBudget);
  return inSession(sql, budget, (session, stallGuard) =>
    runTransaction(session, { options: { ...options, budget }, stallGuard, work }),
  );
}

/**
 * Runs statements as one transaction that the server ends by itself, whatever becomes of the client meanwhile. For what
 * makes unlogged tables: where such a transaction is rolled back and the server crashes before that is on the disk, it
 * finds the table's emptied file in its way, and PostgreSQL does not come up again ("could not create file ...: File
 * exists").
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
  const session = await openSession(sql).catch(throwClassified);
  const stallGuard = openStallGuard(session, budget);
  try {
    return await stallGuard.race(work(session, stallGuard));
  } catch (error) {
    const fault = stallGuard.fault();
    await rollBack(session, stallGuard, error);
    const classified = classifyDatabaseError(error) ?? (session.isOpen() ? error : lostDuring(error));
    if (fault === null && isLockTimeout(classified)) {
      throw await stallGuard.awaitProgress(() => nameHolders(session.tx, error));
    }
    throw fault ?? (isLost(classified) ? stallGuard.timeout(error) : null) ?? classified;
  } finally {
    stallGuard.stop();
    session.release();
  }
}

type Transaction<T> = {
  readonly options: TransactionOptions;
  readonly stallGuard: StallGuard;
  readonly work: (tx: Tx, stallGuard: StallGuard) => Promise<T | RolledBack<T>>;
};

async function runTransaction<T>(session: Session, { options, stallGuard, work }: Transaction<T>): Promise<T> {
  const { tx } = stallGuard;
  // In one message: every round trip counts where fragments are small.
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

/** A connection that is gone, or about to be, has nothing to roll back and is not used again. */
async function rollBack({ tx, isOpen, destroy }: Session, stallGuard: StallGuard, cause: unknown): Promise<void> {
  try {
    if (isConnectionLost(cause) || !isOpen()) throw cause;
    await stallGuard.awaitProgress(async () => tx`rollback`);
  } catch (error) {
    destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

const isLockTimeout = (error: unknown): boolean => error instanceof LoaderError && error.code === lockTimeoutCode;
const isLost = (error: unknown): boolean => error instanceof LoaderError && error.code === "DB_CONNECTION_LOST";

/** Whatever went wrong on a connection that is gone; what the step itself threw says more. */
function lostDuring(cause: unknown): unknown {
  if (cause instanceof LoaderError) return cause;
  return new TransientError("DB_CONNECTION_LOST", "the connection was lost in a transaction; the step starts again", {
    cause,
  });
}

/**
 * Only what ends with the transaction: a proxy may hand the connection to somebody else. A killed Lambda leaves its
 * session behind: the server ends an idle one, looks during a statement whether its client is still there, and finds
 * within a minute that a host is gone without a word.
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
    // For a client that is gone: it ends the session, whatever the client does between its statements.
    const longest = milliseconds + transactionMargin;
    if (hasCapability(serverVersion, "transactionTimeout")) {
      // The clock of a limit that role or database have runs already, and keeps its time unless it is stopped.
      settings.push("transaction_timeout = 0", `transaction_timeout = ${longest}`);
    }
  }
  return settings.map((setting) => `set local ${setting}`);
}

function throwClassified(error: unknown): never {
  throw classifyDatabaseError(error) ?? error;
}

const lockTimeoutCode = "DB_LOCK_TIMEOUT";

type Holder = { readonly relation: string; readonly pids: string };

const mostHolders = 5;

/**
 * The fault of a wait for a lock that took too long, with those who hold one: tables and process ids, nothing else. Who
 * was waited for, the server has forgotten by then; so it is whoever has locks on what the statement names.
 *
 * @param session where the transaction is rolled back: nothing is held while it is asked
 */
async function nameHolders(session: postgres.ReservedSql, cause: unknown): Promise<TransientError> {
  const holders = await readHolders(session, cause).catch(() => []);
  const named = holders.map(({ relation, pids }) => `${relation} by process ${pids}`).join(", ");
  const who = named === "" ? "by another session, which has ended" : `: ${named}`;
  const text = `a table or row stayed locked${named === "" ? " " : ""}${who}; it is tried again`;
  return new TransientError(lockTimeoutCode, text, { holders, cause });
}

/**
 * Statements are ours, and name what they lock; for a row's lock the server names its table in `where`. Questions to the
 * catalog wait for whoever keeps a table for itself alone, and do not name it.
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

/** What differs by the server's version, and the first major version that has it. 16 is the least that is supported. */
const firstVersions = {
  /** The setting `transaction_timeout`: before, every statement is given what is left of the time. */
  transactionTimeout: 17,
} as const;

/** @param version as the server reports it: `16.10`, `18beta1` */
export function hasCapability(version: string, capability: keyof typeof firstVersions): boolean {
  return Number.parseInt(version, 10) >= firstVersions[capability];
}
