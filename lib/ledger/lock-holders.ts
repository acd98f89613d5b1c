import type postgres from "postgres";
import { TransientError } from "../core/errors.ts";

export const lockTimeoutCode = "DB_LOCK_TIMEOUT";

type Holder = { readonly relation: string; readonly pids: string };

const mostHolders = 5;

/**
 * The fault of a wait for a lock that took too long, with those who hold one: tables and process ids, nothing else. Who
 * was waited for, the server has forgotten by then; so it is whoever has locks on what the statement names.
 *
 * @param session where the transaction is rolled back: nothing is held while it is asked
 */
export async function nameHolders(session: postgres.ReservedSql, cause: unknown): Promise<TransientError> {
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
