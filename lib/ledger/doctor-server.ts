import type { ConnectionLimit, ServerFacts } from "../core/doctor.ts";
import type { Tx } from "./transaction.ts";

type ServerRow = {
  readonly version: string;
  readonly role: string;
  readonly encrypted: boolean;
  readonly standby: boolean;
  readonly reads_only: boolean;
  readonly stuck: number[];
};

/** What of the server's settings matters; those that a library brings are there only where it is loaded. */
const parameterNames = [
  "log_error_verbosity",
  "log_min_messages",
  "log_min_error_statement",
  "log_parameter_max_length",
  "log_parameter_max_length_on_error",
  "log_statement",
  "log_min_duration_statement",
  "log_min_duration_sample",
  "auto_explain.log_min_duration",
  "auto_explain.log_parameter_max_length",
  "statement_timeout",
  "transaction_timeout",
];

export async function readServer(tx: Tx, now: () => number): Promise<ServerFacts> {
  const row = await readRow(tx);
  const parameters = await readParameters(tx);
  const { version, role, encrypted, stuck } = row;
  return {
    version,
    role,
    encrypted,
    readOnly: row.standby ? "standby" : row.reads_only ? "default_transaction_read_only" : null,
    connections: await readConnections(tx),
    stuckSessions: stuck,
    clockAhead: await readClock(tx, now),
    parameters,
  };
}

async function readRow(tx: Tx): Promise<ServerRow> {
  const [row] = await tx<ServerRow[]>`
    select current_setting('server_version') as version, current_user::text as role,
           coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
           pg_is_in_recovery() as standby,
           (select reset_val from pg_settings where name = 'default_transaction_read_only') = 'on' as reads_only,
           array(select pid from pg_stat_activity
                 where usename = current_user and backend_type = 'client backend' and state like 'idle in transaction%'
                   and state_change < clock_timestamp() - interval '1 minute') as stuck
  `;
  return row as ServerRow;
}

async function readConnections(tx: Tx): Promise<ConnectionLimit[]> {
  const rows = await tx<ConnectionLimit[]>`
    with client as (select usename, datname from pg_stat_activity where backend_type = 'client backend')
    select 'the server' as of,
           current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
             - current_setting('reserved_connections')::integer as "limit",
           (select count(*) from client) as used
    union all
    select 'database ' || datname, datconnlimit, (select count(*) from client c where c.datname = d.datname)
    from pg_database d where datname = current_database() and datconnlimit >= 0
    union all
    select 'role ' || rolname, rolconnlimit, (select count(*) from client where usename = rolname)
    from pg_roles where rolname = current_user and rolconnlimit >= 0
  `;
  return [...rows];
}

/** Of a session as it begins: those of this transaction are the loader's own. */
async function readParameters(tx: Tx): Promise<Record<string, string>> {
  const rows = await tx<{ name: string; value: string }[]>`
    select name, reset_val as value from pg_settings where name = any(${parameterNames}::text[])
  `;
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

/** The middle of the question is when the server looked at its clock. */
async function readClock(tx: Tx, now: () => number): Promise<number> {
  const asked = now();
  const [row] = await tx<{ time: number }[]>`
    select (extract(epoch from clock_timestamp()) * 1000)::float8 as time
  `;
  return Math.round((row?.time ?? asked) - (asked + now()) / 2);
}
