import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { BlockedError, TransientError } from "../core/errors.ts";

export type ClientOptions = {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Called once for each connection, so that an expired token is signed anew. */
  readonly password: () => string | Promise<string>;
  /** Certificate authorities to trust as PEM, those of Node if `ca` is null; null for plain text, on loopback only. */
  readonly tls: { readonly ca: string | null } | null;
};

/** One connection: the driver's client with a single socket, thrown away together with it. */
export type Client = {
  readonly sql: postgres.Sql;
  /** False before there is a socket, and from the moment that it is closed. */
  readonly isOpen: () => boolean;
  /** True until the socket is closed or has failed: there is no second one. */
  readonly isUsable: () => boolean;
  /** Closes the connection at once, in the middle of anything. */
  readonly destroy: (fault: unknown) => void;
  /** Ends the session in order; after so many seconds, closes the connection. */
  readonly end: (seconds: number) => Promise<void>;
};

const int8 = 20;
const connectSeconds = 10;

/**
 * Opens a client without prepared statements and without anything else that would pin a proxy. `int8` comes as a
 * number: counts and ids of the ledger stay far below 2^53.
 */
export function openClient(options: ClientOptions): Client {
  const { host, port, database, user, tls } = options;
  const wire = openWire(options);
  // The driver would go on connecting to a server that closes before it is ready: it gets no second socket, and is
  // ended. Its types leave this option out.
  const own = { socket: () => wire.connect(() => void sql.end({ timeout: 0 })) };
  const sql = postgres({
    host,
    port,
    ...own,
    database,
    user,
    password: () => readPassword(options, wire.destroy),
    ssl: tls === null ? false : tlsOptions(host, tls.ca),
    max: 1,
    prepare: false,
    fetch_types: false,
    connect_timeout: connectSeconds,
    onnotice: () => undefined,
    types: { int8: { to: int8, from: [int8], parse: Number, serialize: String }, ...arrayTypes },
  }) as unknown as postgres.Sql;
  const end = async (seconds: number): Promise<void> => {
    await sql.end({ timeout: wire.isUsable() ? seconds : 0 });
    // A server that does not answer leaves the socket half closed, which would keep the process alive.
    wire.destroy(new TransientError("DB_CONNECTION_LOST", "the connection was closed by the loader"));
  };
  return { sql, end, isOpen: wire.isOpen, isUsable: wire.isUsable, destroy: wire.destroy };
}

/** The single socket of a client. */
type Wire = Pick<Client, "isOpen" | "isUsable" | "destroy"> & { readonly connect: (onSecond: () => void) => Socket };

function openWire(options: ClientOptions): Wire {
  let socket: Socket | null = null;
  let failure: Error | null = null;
  const destroy = (cause: unknown): void => {
    const fault = cause instanceof Error ? cause : new Error(String(cause));
    failure ??= fault;
    socket?.destroy(fault);
  };
  return {
    connect: (onSecond) => {
      if (socket !== null) {
        setImmediate(onSecond);
        throw (
          failure ?? new TransientError("DB_CONNECTION_LOST", "the server closed a connection that was not ready yet")
        );
      }
      socket = openSocket(options, destroy);
      return socket;
    },
    isOpen: () => socket !== null && !socket.destroyed,
    isUsable: () => failure === null && !socket?.destroyed,
    destroy,
  };
}

/** First byte of the answer of a server that has no TLS: `N`. */
const declinesTls = 0x4e;

/**
 * The driver leaves Nagle's algorithm on, which makes every COPY wait twice for the server's delayed acknowledgement:
 * 85 ms a slice. It writes before the socket is connected, which keeps that until then; it reads `host` to verify TLS.
 */
function openSocket({ host, port, tls }: ClientOptions, destroy: (fault: Error) => void): Socket {
  const socket = connect({ host, port, noDelay: true });
  if (tls !== null) {
    // The driver would begin the TLS handshake all the same, fail, and connect again without end.
    socket.once("data", (answer: Buffer) => {
      if (answer[0] !== declinesTls) return;
      destroy(new BlockedError("DB_TLS", "the server declines TLS; no login is sent in plain text"));
    });
  }
  return Object.assign(socket, { host });
}

/** Names the host to verify: the driver leaves it out if it is an address, and Node then expects `localhost`. */
function tlsOptions(host: string, ca: string | null) {
  return {
    rejectUnauthorized: true,
    checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(host, certificate),
    ...(ca !== null && { ca }),
  };
}

/** Fails through the socket, and never settles then: the driver does not catch the error of a password. */
async function readPassword({ password }: ClientOptions, destroy: (fault: unknown) => void): Promise<string> {
  try {
    return await password();
  } catch (error) {
    destroy(error);
    return new Promise<never>(() => undefined);
  }
}

type Element = string | number | null;

function toArrayText(elements: readonly Element[]): string {
  const texts = elements.map((value) => (value === null ? "null" : `"${String(value).replaceAll(/[\\"]/g, "\\$&")}"`));
  return `{${texts.join(",")}}`;
}

const elementPattern = /"((?:[^"\\]|\\.)*)"|[^,{}]+/gs;

/** Parses an array of one dimension. */
function parseArrayText(text: string): (string | null)[] {
  return Array.from(text.matchAll(elementPattern), ([bare, quoted]) => {
    if (quoted !== undefined) return quoted.replaceAll(/\\(.)/gs, "$1");
    return bare === "NULL" ? null : bare;
  });
}

const parseNumbers = (text: string): (number | null)[] =>
  parseArrayText(text).map((element) => (element === null ? null : Number(element)));

const arrayType = (oid: number, parse: (text: string) => Element[]) => ({
  to: oid,
  from: [oid],
  parse,
  serialize: toArrayText,
});

/**
 * The arrays that the loader sends and receives, by the OIDs of their types. With `fetch_types` on, the driver would ask
 * each new connection for all array types of the catalog, and the error of that query could not be caught.
 */
const arrayTypes = {
  texts: arrayType(1009, parseArrayText),
  names: arrayType(1003, parseArrayText),
  int2s: arrayType(1005, parseNumbers),
  int4s: arrayType(1007, parseNumbers),
  int8s: arrayType(1016, parseNumbers),
};

/** File that the deployment puts beside the bundle of a function. */
const bundled = fileURLToPath(new URL("./database-ca.pem", import.meta.url));

/**
 * The certificate authorities to trust, as `tls` of a client.
 *
 * @param authorities `system` (those of Node), `bundled` (the file beside the code), or the path of a PEM file
 * @throws BlockedError DB_TLS if the file does not exist or holds no certificate
 */
export function readAuthorities(authorities: string): { readonly ca: string | null } {
  if (authorities === "system") return { ca: null };
  const file = authorities === "bundled" ? bundled : authorities;
  try {
    const ca = readFileSync(file, "utf8");
    new X509Certificate(ca);
    return { ca };
  } catch (cause) {
    const text = `certificate authorities: ${file} is no readable PEM file of certificates; correct DB_CA or the file`;
    throw new BlockedError("DB_TLS", text, { cause });
  }
}
