import type postgres from "postgres";
import { LoaderError, TransientError } from "../core/errors.ts";
import { classifyDatabaseError, isConnectionLost } from "../core/faults.ts";
import { endedConnections } from "./connection.ts";

export type Tx = postgres.ReservedSql;

export type TransactionOptions = {
  /** @default "read committed" */
  readonly isolation?: "read committed" | "repeatable read";
  /** Seconds for all of it. @default none */
  readonly budget?: number;
  /**
   * False: COMMIT does not wait for the disk. For what a crash of the server may take back, because it is done again
   * then: taking an item, and staging, whose rows such a crash empties anyway. A later durable commit covers it.
   * @default true
   */
  readonly durable?: boolean;
};

/** A result whose transaction is rolled back. */
export class RolledBack<T> {
  readonly value: T;

  constructor(value: T) {
    this.value = value;
  }
}

const lockTimeout = "20s";
/** A Lambda that is killed leaves its session behind: the server ends it, and with it its locks. */
const idleTimeout = "120s";

/**
 * Runs `work` in a transaction on a connection of its own, and looks at the tag of COMMIT: a server answers the commit
 * of an aborted transaction with ROLLBACK and without any error. Errors come out classified.
 */
export async function inTransaction<T>(
  sql: postgres.Sql,
  options: TransactionOptions,
  work: (tx: Tx) => Promise<T | RolledBack<T>>,
): Promise<T> {
  const tx = await sql.reserve().catch(throwClassified);
  const endedBefore = endedConnections(sql);
  let alive = true;
  try {
    // In one message: every round trip counts where fragments are small.
    await tx.unsafe(`begin isolation level ${options.isolation ?? "read committed"}; ${sessionSettings(options)}`);
    const result = await work(tx);
    if (result instanceof RolledBack) {
      await tx`rollback`;
      return result.value;
    }
    const { command } = await tx`commit`;
    if (command !== "COMMIT")
      throw new TransientError("DB_NOT_COMMITTED", `the server answered COMMIT with ${command}`);
    return result;
  } catch (error) {
    // A lost connection has nothing to roll back. The driver takes it back by itself when it sees it closed; released
    // by us it would count as open, and the next query would write to a closed socket.
    alive = !isConnectionLost(error) && endedConnections(sql) === endedBefore;
    if (alive) await tx`rollback`.catch(() => undefined);
    throw classifyDatabaseError(error) ?? (alive ? error : lostDuring(error));
  } finally {
    if (alive) tx.release();
  }
}

/** Whatever went wrong on a connection that is gone; what the step itself threw says more. */
function lostDuring(cause: unknown): unknown {
  if (cause instanceof LoaderError) return cause;
  return new TransientError("DB_CONNECTION_LOST", "the connection was lost in a transaction; the step starts again", {
    cause,
  });
}

/** Only what ends with the transaction: a proxy may hand the connection to somebody else. */
function sessionSettings({ budget, durable = true }: TransactionOptions): string {
  const settings = [
    `set local lock_timeout = '${lockTimeout}'`,
    `set local idle_in_transaction_session_timeout = '${idleTimeout}'`,
    "set local timezone = 'UTC'",
    "set local datestyle = 'ISO, YMD'",
    "set local intervalstyle = 'iso_8601'",
    "set local client_min_messages = 'warning'",
  ];
  if (!durable) settings.push("set local synchronous_commit = off");
  if (budget !== undefined) settings.push(`set local statement_timeout = '${Math.max(1, Math.floor(budget))}s'`);
  return settings.join("; ");
}

function throwClassified(error: unknown): never {
  throw classifyDatabaseError(error) ?? error;
}
