import type postgres from "postgres";
import { LoaderError, PermanentError, TransientError } from "../core/errors.ts";
import type { Run } from "../core/run.ts";
import { renewLease } from "./claims.ts";
import { inTransaction } from "./transaction.ts";

type TimeoutPorts = { readonly sql: postgres.Sql; readonly leaseSeconds: number };

/** The first time may be the server's bad moment; what does not fit twice does not fit. */
const maxTimeouts = 2;

/**
 * Runs a commit, and says of one that ran into its time limit where it stood. How often that happened to the plan is
 * counted in the ledger, since every try is another invocation.
 *
 * @param work names each phase as it enters it
 * @throws TransientError DB_TIMEOUT the first time, PermanentError DB_TIMEOUT the second
 */
export async function countingTimeouts<T>(
  ports: TimeoutPorts,
  run: Run,
  work: (enter: (phase: string) => void) => Promise<T>,
): Promise<T> {
  const started = performance.now();
  let phase = "lock";
  try {
    return await work((next) => {
      phase = next;
    });
  } catch (cause) {
    if (!(cause instanceof LoaderError && cause.code === "DB_TIMEOUT")) throw cause;
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    const text = `the commit of ${run.batchId} ran out of time after ${seconds} s (phase: ${phase}); raise TRANSACTION_TIMEOUT or deliver smaller batches`;
    const isLast = (await countTimeout(ports, run)) >= maxTimeouts;
    const details = { phase, seconds, cause };
    throw isLast ? new PermanentError("DB_TIMEOUT", text, details) : new TransientError("DB_TIMEOUT", text, details);
  }
}

function countTimeout({ sql, leaseSeconds }: TimeoutPorts, run: Run): Promise<number> {
  return inTransaction(sql, {}, async (tx) => {
    const [row] = await tx<{ timeouts: number }[]>`
      update table_loader.plans set timeouts = timeouts + 1 where plan_id = ${run.planId} returning timeouts
    `;
    await renewLease(tx, run, leaseSeconds);
    return row?.timeouts ?? 0;
  });
}
