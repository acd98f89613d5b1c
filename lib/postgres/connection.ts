import type postgres from "postgres";
import { sqlStateOf } from "../core/classify-error.ts";
import {
  copyStallSeconds,
  deadClientSeconds,
  openConnectionSeconds,
  plainTransactionSeconds,
  transactionGraceSeconds,
} from "../core/durations.ts";
import { TransientError } from "../core/errors.ts";
import { type Client, type ClientOptions, openClient } from "./client.ts";

export type Login = Pick<ClientOptions, "user" | "password">;

type ConnectionOptions = ClientOptions & {
  /** Fetches the login anew, once for each session whose login is refused. @default none: the refusal is final */
  readonly renewLogin?: () => Promise<Login>;
  /** @default 1, as in a Lambda */
  readonly connections?: number;
  readonly limits?: Partial<ConnectionLimits>;
};

/** Seconds that a server or client is waited for that is gone or does not answer. */
export type ConnectionLimits = {
  /** Until a new connection is ready. @default 15 */
  readonly open: number;
  /** For a transaction without a budget of its own. @default 60 */
  readonly transaction: number;
  /** Beyond the budget of a transaction that has one, since the server ends it by itself. @default 15 */
  readonly grace: number;
  /** For a write of COPY, for its end, for a rollback. @default 30 */
  readonly stall: number;
  /** Until the server ends a session that is idle in a transaction. @default 45 */
  readonly idle: number;
  /** Between two checks of the server that the client of a running statement is still there. @default 10 */
  readonly check: number;
};

const defaultLimits: ConnectionLimits = {
  open: openConnectionSeconds,
  transaction: plainTransactionSeconds,
  grace: transactionGraceSeconds,
  stall: copyStallSeconds,
  idle: deadClientSeconds,
  check: 10,
};

const closeSeconds = 5;

type Pool = {
  options: ConnectionOptions;
  readonly limits: ConnectionLimits;
  /** By lane; a client is replaced when its connection is gone. */
  readonly clients: Client[];
  readonly free: number[];
  readonly waiting: ((lane: number) => void)[];
};

const pools = new WeakMap<object, Pool>();

/** Makes a pool, which opens nothing yet. Statements outside of a session run on its first connection. */
export function openSql(options: ConnectionOptions): postgres.Sql {
  const lanes = Array.from({ length: options.connections ?? 1 }, (_, lane) => lane);
  const pool: Pool = {
    options,
    limits: { ...defaultLimits, ...options.limits },
    clients: lanes.map(() => openClient(options)),
    free: lanes.toReversed(),
    waiting: [],
  };
  const end = async ({ timeout = closeSeconds }: { timeout?: number } = {}): Promise<void> => {
    await Promise.all(pool.clients.map((client) => client.end(timeout)));
  };
  const first = pool.clients[0] as Client;
  const sql = new Proxy(first.sql, {
    apply: (_, self, args) => Reflect.apply(usableClient(pool, 0).sql, self, args),
    get: (_, name) => (name === "end" ? end : Reflect.get(usableClient(pool, 0).sql, name)),
  });
  pools.set(sql, pool);
  return sql;
}

/** Ends all connections, and waits 5 s for one whose server does not answer. */
export async function closeSql(sql: postgres.Sql): Promise<void> {
  await sql.end({ timeout: closeSeconds });
}

/** A connection with a single user until it is released. */
export type Session = {
  readonly tx: postgres.ReservedSql;
  /** As the server reports it: `16.10`. */
  readonly serverVersion: string;
  readonly limits: ConnectionLimits;
  readonly isOpen: Client["isOpen"];
  readonly destroy: Client["destroy"];
  readonly release: () => void;
};

/**
 * Takes a connection of the pool, and waits for one if all are taken.
 *
 * @throws what the driver or the password threw; TransientError DB_STALLED if a new connection is not ready in time
 */
export async function openSession(sql: postgres.Sql): Promise<Session> {
  const pool = pools.get(sql) as Pool;
  const lane = pool.free.pop() ?? (await new Promise<number>((resolve) => pool.waiting.push(resolve)));
  const freeLane = (): void => {
    const next = pool.waiting.shift();
    if (next) next(lane);
    else pool.free.push(lane);
  };
  try {
    const { client, tx } = await logIn(pool, lane);
    const release = (): void => {
      if (client.isUsable()) tx.release();
      freeLane();
    };
    const serverVersion = String(client.sql.parameters.server_version ?? "");
    return { tx, serverVersion, limits: pool.limits, isOpen: client.isOpen, destroy: client.destroy, release };
  } catch (error) {
    freeLane();
    throw error;
  }
}

type Lane = { readonly client: Client; readonly tx: postgres.ReservedSql };

/** Logs in, a second time if the login is refused: a secret may be rotated after it was read and before it is used. */
async function logIn(pool: Pool, lane: number): Promise<Lane> {
  try {
    return await openLane(pool, lane);
  } catch (error) {
    const { renewLogin } = pool.options;
    // SQLSTATE 28P01 is a wrong password, 28000 a user that may not log in.
    if (!renewLogin || !sqlStateOf(error)?.startsWith("28")) throw error;
    pool.options = { ...pool.options, ...(await renewLogin()) };
    return openLane(pool, lane);
  }
}

async function openLane(pool: Pool, lane: number): Promise<Lane> {
  const client = usableClient(pool, lane);
  try {
    return { client, tx: await reserve(client, pool.limits) };
  } catch (error) {
    client.destroy(error);
    throw error;
  }
}

/** The client of a lane, a new one if its connection is gone: a client opens no second connection. */
function usableClient(pool: Pool, lane: number): Client {
  const client = pool.clients[lane] as Client;
  if (client.isUsable()) return client;
  void client.end(0);
  const fresh = openClient(pool.options);
  pool.clients[lane] = fresh;
  return fresh;
}

/**
 * Opens a new connection by a statement, whose error can be caught: with `fetch_types` off, the driver never returns a
 * connection that reserve() itself opens.
 */
async function reserve({ sql, isOpen, destroy }: Client, { open }: ConnectionLimits): Promise<postgres.ReservedSql> {
  if (!isOpen()) {
    const text = `the database did not answer a new connection within ${open} s; it is tried again`;
    const fault = new TransientError("DB_STALLED", text);
    const timer = setTimeout(() => destroy(fault), open * 1000);
    await sql`select`.finally(() => clearTimeout(timer));
  }
  return sql.reserve();
}
