import { connect, type Socket } from "node:net";
import postgres from "postgres";

export type ConnectionOptions = {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Called once per connection, so that a rotated secret or an expired token is fetched anew. */
  readonly password: () => string | Promise<string>;
  /** The certificate authority that has to have signed the server's certificate; null for a plain loopback connection. */
  readonly tls: { readonly ca: string | null } | null;
  /** @default 1, as in a Lambda */
  readonly connections?: number;
};

/** How many connections of each client have ended so far. */
const ended = new WeakMap<object, { count: number }>();

/**
 * Grows with every connection that ends. The driver tells a reserved connection's owner nothing of its end while no
 * query runs, and the next one would write to a closed socket, outside of any promise.
 */
export function endedConnections(sql: postgres.Sql): number {
  return ended.get(sql)?.count ?? 0;
}

const int8 = 20;
const connectSeconds = 10;

/**
 * The driver leaves Nagle's algorithm on, which makes every COPY wait twice for the server's delayed acknowledgement:
 * 85 ms a slice. What it writes before the socket is connected is kept until then; it reads `host` to verify TLS.
 */
function openSocket(host: string, port: number): Socket {
  return Object.assign(connect({ host, port, noDelay: true }), { host });
}

/**
 * Opens connections without prepared statements and without anything else that would pin a proxy. `int8` comes as a
 * number: counts and ids of the ledger stay far below 2^53.
 */
export function openSql(options: ConnectionOptions): postgres.Sql {
  const { host, port, database, user, password, tls, connections = 1 } = options;
  const ends = { count: 0 };
  // An option that the driver's types leave out.
  const ownSocket = { socket: () => openSocket(host, port) };
  const sql = postgres({
    host,
    port,
    ...ownSocket,
    database,
    user,
    password,
    ssl: tls === null ? false : { rejectUnauthorized: true, ...(tls.ca === null ? {} : { ca: tls.ca }) },
    max: connections,
    prepare: false,
    connect_timeout: connectSeconds,
    onnotice: () => undefined,
    onclose: () => {
      ends.count += 1;
    },
    types: { int8: { to: int8, from: [int8], parse: Number, serialize: String } },
  }) as unknown as postgres.Sql;
  ended.set(sql, ends);
  return sql;
}
