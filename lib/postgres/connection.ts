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
import { type Client, openClient } from "./client.ts";

export type Login = {
  readonly user: string;
  /** Called once per connection, so that an expired token is signed anew. */
  readonly password: () => string | Promise<string>;
};

export type ConnectionOptions = Login & {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** Fetches the login anew, once for a session whose login is refused. @default none, what is refused stays so */
  readonly renewLogin?: () => Promise<Login>;
  /** The certificate authority that has to have signed the server's certificate; null for a plain loopback connection. */
  readonly tls: { readonly ca: string | null } | null;
  /** @default 1, as in a Lambda */
  readonly connections?: number;
  readonly limits?: Partial<ConnectionLimits>;
};

/** How long a peer that is gone, or says nothing, is waited for. In seconds. */
export type ConnectionLimits = {
  /** Until a new connection is ready. @default 15 */
  readonly open: number;
  /** A transaction without a budget of its own. @default 60 */
  readonly transaction: number;
  /** What a transaction with a budget gets on top of it, since the server ends it by itself. @default 15 */
  readonly grace: number;
  /** A write of COPY, its end, a rollback. @default 30 */
  readonly stall: number;
  /** How long the server keeps a transaction that nobody asks anything. @default 45 */
  readonly idle: number;
  /** How often the server looks whether the client of a running statement is still there. @default 10 */
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

/** A connection of one's own, until it is released. */
export type Session = {
  readonly tx: postgres.ReservedSql;
  /** As the server reports it: `16.10`. */
  readonly serverVersion: string;
  readonly limits: ConnectionLimits;
  readonly isOpen: () => boolean;
  readonly destroy: (fault: Error) => void;
  readonly release: () => void;
};

type Pool = {
  options: ConnectionOptions;
  readonly limits: ConnectionLimits;
  /** By lane; replaced when its connection is gone. */
  readonly clients: Client[];
  readonly free: number[];
  readonly waiting: ((lane: number) => void)[];
};

const pools = new WeakMap<object, Pool>();

/** Opens nothing yet. What it runs by itself, outside of a session, runs on the first connection. */
export function openSql(options: ConnectionOptions): postgres.Sql {
  const lanes = Array.from({ length: options.connections ?? 1 }, (_, lane) => lane);
  const pool: Pool = {
    options,
    limits: { ...defaultLimits, ...options.limits },
    clients: lanes.map(() => openClient(options)),
    free: lanes.toReversed(),
    waiting: [],
  };
  const end = async ({ timeout = 5 }: { timeout?: number } = {}): Promise<void> => {
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

const closeSeconds = 5;

/** Ends all connections; one that nobody answers on is not waited for any longer. */
export async function closeSql(sql: postgres.Sql): Promise<void> {
  await sql.end({ timeout: closeSeconds });
}

/** A connection that is gone takes its client with it. */
function usableClient(pool: Pool, lane: number): Client {
  const client = pool.clients[lane] as Client;
  if (client.isUsable()) return client;
  void client.end(0);
  const fresh = openClient(pool.options);
  pool.clients[lane] = fresh;
  return fresh;
}

/** @throws what the driver or the password threw; TransientError DB_STALLED where the server stops in the middle */
export async function openSession(sql: postgres.Sql): Promise<Session> {
  const pool = pools.get(sql) as Pool;
  const lane = pool.free.pop() ?? (await new Promise<number>((resolve) => pool.waiting.push(resolve)));
  const freeLane = (): void => {
    const next = pool.waiting.shift();
    if (next) next(lane);
    else pool.free.push(lane);
  };
  try {
    const { client, tx } = await loggingIn(pool, () => openLane(pool, lane));
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

/** A secret may be rotated between the moment that it was read and the one that its password is used. */
async function loggingIn<T>(pool: Pool, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const { renewLogin } = pool.options;
    if (!renewLogin || !sqlStateOf(error)?.startsWith(loginRefused)) throw error;
    pool.options = { ...pool.options, ...(await renewLogin()) };
    return open();
  }
}

/** The class of SQLSTATE: 28P01 of a wrong password, 28000 of a user that may not log in. */
const loginRefused = "28";

async function openLane(pool: Pool, lane: number): Promise<{ client: Client; tx: postgres.ReservedSql }> {
  const client = usableClient(pool, lane);
  try {
    return { client, tx: await reserve(client, pool.limits) };
  } catch (error) {
    client.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/**
 * Without types to fetch, the driver never hands out a connection that reserve() itself opens; a statement opens it
 * here, whose error can be caught.
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
