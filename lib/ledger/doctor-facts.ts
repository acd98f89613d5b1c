import type postgres from "postgres";
import type {
  ConnectionLimit,
  ContractFacts,
  ControlFacts,
  DatabaseDoctor,
  LoadFacts,
  ReasonedBatch,
  RightsFacts,
  ServerFacts,
} from "../core/doctor.ts";
import {
  doctorAnswerSeconds,
  leftoverMinutes,
  missedEventsHours,
  stuckSessionMinutes,
  waitingNoticeHours,
} from "../core/durations.ts";
import { missingOnRelations, missingOnSchemas, type RelationName, rowRights } from "../postgres/rights.ts";
import { stagingSchema } from "../postgres/sql-names.ts";
import { inTransaction, type Tx } from "../postgres/transaction.ts";
import { hashText } from "./contracts.ts";
import { adoptedTables, controlTables, controlViews, migrationNames } from "./migrate.ts";

type DatabaseDoctorOptions = {
  /** Opens the database at first use, so that doctor can report why that fails. */
  readonly open: () => Promise<postgres.Sql>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
};

/** Less than an answer may take, so that the answer still comes, and says who holds the lock. */
export const doctorLockMilliseconds = 2_000;

export function openDatabaseDoctor({ open, now }: DatabaseDoctorOptions): DatabaseDoctor {
  const look = async <Facts>(read: (tx: Tx) => Promise<Facts>): Promise<Facts> =>
    inTransaction(
      await open(),
      { budget: doctorAnswerSeconds, lockMilliseconds: doctorLockMilliseconds },
      async (tx) => {
        await tx`set transaction read only`;
        return read(tx);
      },
    );
  return {
    server: () => look((tx) => readServer(tx, now)),
    control: () => look(readControl),
    rights: () => look(readRights),
    contracts: (text) => look((tx) => readContracts(tx, text)),
    loads: () => look(readLoads),
  };
}

async function readContracts(tx: Tx, text: string | null): Promise<ContractFacts> {
  const hash = text === null ? "" : hashText(text);
  const [known] = await tx`select from table_loader.contracts where hash = ${hash}`;
  const [lastGood] = await tx<NonNullable<ContractFacts["lastGood"]>[]>`
    select hash, body, to_json(last_valid_at)#>>'{}' as "validAt"
    from table_loader.contracts order by last_valid_at desc limit 1
  `;
  const queued = await tx<{ table_name: string }[]>`
    select distinct table_name from public.validation_queue
    where validation_status in ('pending', 'validated', 'loading') order by 1 limit 1000
  `;
  const queuedTables = queued.map(({ table_name: table }) => table);
  return { known: known !== undefined, lastGood: lastGood ?? null, queuedTables };
}

const mostNamed = 5;

async function readLoads(tx: Tx): Promise<LoadFacts> {
  const [sweep] = await tx<{ ago: number | null; age: number }[]>`
    select extract(epoch from clock_timestamp() - greatest(
             (select max(moved_at) from table_loader.cursors),
             (select clock_timestamp() from table_loader.leases where name = 'sweep' and lease_until > clock_timestamp())
           ))::float8 as ago,
           coalesce(extract(epoch from clock_timestamp() - (select min(run_at) from table_loader.migrations)), 0)::float8
             as age
  `;
  const [counts] = await tx<{ orphans: number; missed: number }[]>`
    select (select count(*) from table_loader.plans p
            where p.created_at < now() - make_interval(mins => ${leftoverMinutes}) and coalesce(p.lease_until < clock_timestamp(), true)
              and not exists (select from table_loader.batches b where b.plan_id = p.plan_id))
         + (select count(distinct substring(tablename from '^p([0-9]+)_')) from pg_tables
            where schemaname = 'table_loader_staging' and tablename ~ '^p[0-9]+_'
              and not exists (select from table_loader.plans p
                              where p.plan_id = substring(tablename from '^p([0-9]+)_')::bigint)) as orphans,
           (select count(distinct batch_id) from table_loader.healings
            where kind = 'EVENT_MISSED' and healed_at > now() - make_interval(hours => ${missedEventsHours})) as missed
  `;
  return {
    sweptSecondsAgo: sweep?.ago ?? null,
    ageSeconds: sweep?.age ?? 0,
    stalled: await readByHealth(tx, "STALLED"),
    blocked: await readByHealth(tx, "BLOCKED"),
    waiting: await readLongWaiting(tx),
    orphans: counts?.orphans ?? 0,
    missedEvents: counts?.missed ?? 0,
  };
}

async function readByHealth(tx: Tx, health: string): Promise<ReasonedBatch[]> {
  const rows = await tx<ReasonedBatch[]>`
    select b.batch_id as "batchId",
           coalesce(b.reason_code || ': ' || b.reason, b.state || ', unchanged since '
             || (to_json(b.updated_at)#>>'{}')) as reason
    from public.loader_status s join table_loader.batches b on b.batch_id = s.source
    where s.health_status = ${health} order by b.updated_at limit ${mostNamed}
  `;
  return [...rows];
}

async function readLongWaiting(tx: Tx): Promise<ReasonedBatch[]> {
  const rows = await tx<ReasonedBatch[]>`
    select batch_id as "batchId", coalesce(reason_code || ': ' || reason, 'no reason is known') as reason
    from table_loader.batches
    where state = 'waiting' and waiting_since < now() - make_interval(hours => ${waitingNoticeHours}) order by waiting_since limit ${mostNamed}
  `;
  return [...rows];
}

async function readControl(tx: Tx): Promise<ControlFacts> {
  const missing = await missingRelations(tx);
  const columns = await adoptedColumns(tx);
  const known = columns.filter(({ table_name: table }) => !missing.includes(`public.${table}`));
  const names = new Set(known.map(({ table_name: table, name }) => `${table}.${name}`));
  const there = new Set(known.map(({ table_name: table }) => table));
  const wanted = Object.entries(adoptedTables).filter(([table]) => there.has(table));
  return {
    pendingMigrations: await pendingMigrations(tx),
    missingRelations: missing,
    missingColumns: wanted
      .flatMap(([table, own]) => own.map((name) => `${table}.${name}`))
      .filter((column) => !names.has(column))
      .map((column) => `public.${column}`),
    requiredColumns: known
      .filter(({ table_name: table, name, required }) => required && !adoptedTables[table]?.includes(name))
      .map(({ table_name: table, name }) => `public.${table}.${name}`),
  };
}

/** As `007 timeouts`. */
async function pendingMigrations(tx: Tx): Promise<string[]> {
  const [made] = await tx`select from pg_class where oid = to_regclass('table_loader.migrations')`;
  const ran = made ? await tx<{ version: number }[]>`select version::integer from table_loader.migrations` : [];
  const versions = new Set(ran.map(({ version }) => version));
  return migrationNames.flatMap((name, index) =>
    versions.has(index + 1) ? [] : [`${String(index + 1).padStart(3, "0")} ${name}`],
  );
}

async function missingRelations(tx: Tx): Promise<string[]> {
  const rows = await tx<{ name: string }[]>`
    select w.name
    from unnest(${[...controlTables, ...controlViews]}::text[]) as w(name)
    where not exists (
      select from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = split_part(w.name, '.', 1) and c.relname = split_part(w.name, '.', 2))
    order by 1
  `;
  return rows.map(({ name }) => name);
}

type ColumnRow = { readonly table_name: string; readonly name: string; readonly required: boolean };

async function adoptedColumns(tx: Tx): Promise<ColumnRow[]> {
  const rows = await tx<ColumnRow[]>`
    select c.relname as table_name, a.attname as name,
           a.attnotnull and not a.atthasdef and a.attidentity = '' as required
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relname = any(${Object.keys(adoptedTables)}::text[])
      and a.attnum > 0 and not a.attisdropped
    order by 1, a.attnum
  `;
  return [...rows];
}

type ServerRow = {
  readonly version: string;
  readonly role: string;
  readonly encrypted: boolean;
  readonly standby: boolean;
  readonly reads_only: boolean;
  readonly stuck: number[];
};

/** Settings of the server that doctor checks; those of a library exist only if it is loaded. */
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

async function readServer(tx: Tx, now: () => number): Promise<ServerFacts> {
  const [row] = await tx<[ServerRow]>`
    select current_setting('server_version') as version, current_user::text as role,
           coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
           pg_is_in_recovery() as standby,
           (select reset_val from pg_settings where name = 'default_transaction_read_only') = 'on' as reads_only,
           array(select pid from pg_stat_activity
                 where usename = current_user and backend_type = 'client backend' and state like 'idle in transaction%'
                   and state_change < clock_timestamp() - make_interval(mins => ${stuckSessionMinutes})) as stuck
  `;
  const { version, role, encrypted, standby, reads_only: readsOnly, stuck } = row;
  return {
    version,
    role,
    encrypted,
    readOnly: standby ? "standby" : readsOnly ? "default_transaction_read_only" : null,
    connections: await readConnections(tx),
    stuckSessions: stuck,
    clockAhead: await readClock(tx, now),
    parameters: await readParameters(tx),
  };
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

/** The values that a session begins with: the loader has changed some of them for this transaction. */
async function readParameters(tx: Tx): Promise<Record<string, string>> {
  const rows = await tx<{ name: string; value: string }[]>`
    select name, reset_val as value from pg_settings where name = any(${parameterNames}::text[])
  `;
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

/** Takes the middle between question and answer as the time at which the server looked at its clock. */
async function readClock(tx: Tx, now: () => number): Promise<number> {
  const asked = now();
  const [row] = await tx<{ time: number }[]>`
    select (extract(epoch from clock_timestamp()) * 1000)::float8 as time
  `;
  return Math.round((row?.time ?? asked) - (asked + now()) / 2);
}

/** Asks the catalog which rights on the control tables the login role lacks, and whether it may do anything anyway. */
async function readRights(tx: Tx): Promise<RightsFacts> {
  const [login] = await tx<{ role: string; special: string | null }[]>`
    select rolname::text as role,
           case when rolsuper then 'superuser' when rolbypassrls then 'bypassrls' when rolcreaterole then 'createrole' end
             as special
    from pg_roles where rolname = current_user
  `;
  return {
    role: login?.role ?? "",
    missing: [
      ...(await missingOnSchemas(tx, ["public", "table_loader"], ["usage"])),
      ...(await missingOnSchemas(tx, [stagingSchema], ["usage", "create"])),
      ...(await missingOnRelations(tx, controlTables.map(split), rowRights)),
      ...(await missingOnRelations(tx, controlViews.map(split), ["select"])),
    ],
    excessive: login?.special ? [login.special] : [],
  };
}

function split(qualified: string): RelationName {
  const [schema = "", name = ""] = qualified.split(".");
  return [schema, name];
}
