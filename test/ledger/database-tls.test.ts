import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { closeSql, openSql } from "../../lib/postgres/connection.ts";
import { inTransaction } from "../../lib/postgres/transaction.ts";
import { selfSigned } from "./support/certificates.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const password = "canary-secret-4711";

/** A server that answers the request for TLS, and keeps what it is told afterwards. */
async function openServer(answer: (socket: Socket, heard: (bytes: Buffer) => void) => void) {
  let heard = "";
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
    const hear = (bytes: Buffer): void => {
      heard += bytes.toString("latin1");
    };
    socket.once("data", () => answer(socket, hear));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, heard: () => heard };
}

const encrypting = (socket: Socket, heard: (bytes: Buffer) => void): void => {
  socket.write("S");
  const secure = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(selfSigned) });
  secure.on("error", () => undefined).on("data", heard);
};

async function faultOf(port: number, ca: string | null = null): Promise<unknown> {
  const options = { host: "127.0.0.1", port, database: "d", user: "u", password: () => password };
  const sql = openSql({ ...options, tls: { ca } });
  try {
    return await inTransaction(sql, {}, async (tx) => tx`select 1`);
  } catch (error) {
    return error;
  } finally {
    await closeSql(sql);
  }
}

describe("X10: the connection to the database is refused", () => {
  test("where nobody whom we trust has signed the certificate", async () => {
    const server = await openServer(encrypting);
    expect(await faultOf(server.port)).toMatchObject({ name: "BlockedError", code: "DB_TLS" });
    expect(server.heard()).toBe("");
  });

  test("where the certificate is another host's", async () => {
    const server = await openServer(encrypting);
    const fault = await faultOf(server.port, selfSigned.cert);
    expect(fault).toMatchObject({ name: "BlockedError", code: "DB_TLS" });
    expect(server.heard()).toBe("");
  });

  test("where the server declines TLS: no login is sent in plain text", async () => {
    const server = await openServer((socket, heard) => {
      socket.on("data", heard);
      socket.write("N");
    });
    expect(await faultOf(server.port)).toMatchObject({ name: "BlockedError", code: "DB_TLS" });
    expect(server.heard()).toBe("");
  });
});
