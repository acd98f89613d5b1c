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
const texts = 1009;
const int8s = 1016;

/**
 * Arrays of one dimension, which is all that our statements have. The driver would ask the server for every array type
 * at the start of each connection, and where that query fails, nobody can catch it.
 */
function toArray(values: readonly unknown[]): string {
  const items = values.map((value) => (value === null ? "NULL" : `"${String(value).replaceAll(/["\\]/g, "\\$&")}"`));
  return `{${items.join(",")}}`;
}

const arrayItem = /"((?:[^"\\]|\\.)*)"|([^,{}]+)/gs;

function parseArray(text: string): (string | null)[] {
  return [...text.matchAll(arrayItem)].map(([, quoted, bare]) => {
    if (quoted !== undefined) return quoted.replaceAll(/\\(.)/gs, "$1");
    return bare === undefined || bare === "NULL" ? null : bare;
  });
}
const connectSeconds = 10;

/**
 * Opens connections without prepared statements and without anything else that would pin a proxy. `int8` comes as a
 * number: counts and ids of the ledger stay far below 2^53.
 */
export function openSql(options: ConnectionOptions): postgres.Sql {
  const { host, port, database, user, password, tls, connections = 1 } = options;
  const ends = { count: 0 };
  const sql = postgres({
    host,
    port,
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
    fetch_types: false,
    types: {
      int8: { to: int8, from: [int8], parse: Number, serialize: String },
      texts: { to: texts, from: [texts], parse: parseArray, serialize: toArray },
      int8s: { to: int8s, from: [int8s], parse: (text: string) => parseArray(text).map(Number), serialize: toArray },
    },
  }) as unknown as postgres.Sql;
  ended.set(sql, ends);
  return sql;
}
