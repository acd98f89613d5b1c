import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { BlockedError, TransientError } from "../core/errors.ts";
import type { ConnectionOptions } from "./connection.ts";

/** One connection: the driver's client with one socket, thrown away with it. */
export type Client = {
  readonly sql: postgres.Sql;
  /** False from the moment on that the socket is of no use. */
  readonly isOpen: () => boolean;
  /** True until the first socket is gone: there is no second one. */
  readonly isUsable: () => boolean;
  /** Ends the connection at once, whatever hangs on it. */
  readonly destroy: (fault: Error) => void;
  /** Ends the connection in order, or after some seconds without. */
  readonly end: (seconds: number) => Promise<void>;
};

/** The one socket of a client. */
type Wire = Pick<Client, "isOpen" | "isUsable" | "destroy"> & { readonly connect: (onSecond: () => void) => Socket };

function openWire(options: ConnectionOptions): Wire {
  let socket: Socket | null = null;
  let failure: Error | null = null;
  const destroy = (fault: Error): void => {
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

/**
 * The driver leaves Nagle's algorithm on, which makes every COPY wait twice for the server's delayed acknowledgement:
 * 85 ms a slice. What it writes before the socket is connected is kept until then; it reads `host` to verify TLS.
 */
function openSocket({ host, port, tls }: ConnectionOptions, destroy: (fault: Error) => void): Socket {
  const socket = connect({ host, port, noDelay: true });
  if (tls !== null) socket.once("data", (answer: Buffer) => refusePlain(answer, destroy));
  return Object.assign(socket, { host });
}

const declinesTls = 0x4e;

/** The driver would shake hands all the same, and take the connection for broken again and again. */
function refusePlain(answer: Buffer, destroy: (fault: Error) => void): void {
  if (answer[0] !== declinesTls) return;
  destroy(new BlockedError("DB_TLS", "the server declines TLS; no login is sent in plain text"));
}

const int8 = 20;
const connectSeconds = 10;

/**
 * Opens a client without prepared statements and without anything else that would pin a proxy. `int8` comes as a
 * number: counts and ids of the ledger stay far below 2^53.
 */
export function openClient(options: ConnectionOptions): Client {
  const { host, port, database, user, tls } = options;
  const wire = openWire(options);
  // The driver would connect for ever to a server that hangs up before it is ready: so it gets no second socket, and
  // is ended. Its types leave the option out.
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
    // Half an end is none where nobody answers: an open socket would keep the process.
    wire.destroy(new TransientError("DB_CONNECTION_LOST", "the connection was closed by the loader"));
  };
  return { sql, end, isOpen: wire.isOpen, isUsable: wire.isUsable, destroy: wire.destroy };
}

/** The driver leaves out the name where the host is an address, and Node then looks for a certificate of localhost. */
function tlsOptions(host: string, ca: string | null) {
  return {
    rejectUnauthorized: true,
    checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(host, certificate),
    ...(ca !== null && { ca }),
  };
}

/** The driver does not catch the error of a password that cannot be had: so it gets none, and the socket the error. */
async function readPassword({ password }: ConnectionOptions, destroy: (fault: Error) => void): Promise<string> {
  try {
    return await password();
  } catch (error) {
    destroy(error instanceof Error ? error : new Error(String(error)));
    return new Promise<never>(() => undefined);
  }
}

/**
 * The arrays that the loader sends and receives, by the numbers of their types. The driver would ask every new
 * connection for the arrays of the whole catalog, and nobody could catch the error of that question.
 */

type Element = string | number | null;

function toArrayText(elements: readonly Element[]): string {
  const texts = elements.map((value) => (value === null ? "null" : `"${String(value).replaceAll(/[\\"]/g, "\\$&")}"`));
  return `{${texts.join(",")}}`;
}

const elementPattern = /"((?:[^"\\]|\\.)*)"|[^,{}]+/gs;

/** Of one dimension. */
function parseArrayText(text: string): (string | null)[] {
  return Array.from(text.matchAll(elementPattern), ([bare, quoted]) => {
    if (quoted !== undefined) return quoted.replaceAll(/\\(.)/gs, "$1");
    return bare === "NULL" ? null : bare;
  });
}

const arrayType = (oid: number, parse: (text: string) => Element[]) => ({
  to: oid,
  from: [oid],
  parse,
  serialize: toArrayText,
});

const toNumber = (text: string | null): number | null => (text === null ? null : Number(text));

const arrayTypes = {
  texts: arrayType(1009, parseArrayText),
  names: arrayType(1003, parseArrayText),
  int2s: arrayType(1005, (text) => parseArrayText(text).map(toNumber)),
  int4s: arrayType(1007, (text) => parseArrayText(text).map(toNumber)),
  int8s: arrayType(1016, (text) => parseArrayText(text).map(toNumber)),
};

/** Laid beside the bundle of a function by the deployment. */
const bundled = fileURLToPath(new URL("./database-ca.pem", import.meta.url));

/**
 * Whose signature on the server's certificate is trusted, for the driver.
 *
 * @param authorities `system` (those of Node), `bundled` (those beside the code), or the path of a PEM file
 * @throws BlockedError DB_TLS where there is no such file, or no certificate in it
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
