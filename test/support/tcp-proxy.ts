import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type TcpProxy = {
  readonly port: number;
  /** From now on nothing is relayed any more, in either direction, and nobody is told. */
  stall(): void;
  /** Ends every connection as soon as the server has sent so many bytes on it. */
  endAfter(bytes: number, how: "reset" | "close"): void;
  /** How many connections clients have opened. */
  connections(): number;
  close(): Promise<void>;
};

/** A network between client and server, for everything that networks do. */
export async function openTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const pairs: { client: Socket; server: Socket }[] = [];
  let stalled = false;
  let end: { bytes: number; how: "reset" | "close" } | null = null;
  const listener = createServer({ allowHalfOpen: false }, (client) => {
    const server = connect(target);
    pairs.push({ client, server });
    let sent = 0;
    const finish = (): void => {
      if (end?.how === "reset") client.resetAndDestroy();
      else client.end();
      server.destroy();
    };
    if (end?.bytes === 0) finish();
    server.on("data", (chunk) => {
      const rest = end === null ? chunk.length : Math.max(0, end.bytes - sent);
      sent += chunk.length;
      client.write(chunk.subarray(0, rest));
      if (end !== null && sent >= end.bytes) finish();
    });
    client.on("data", (chunk) => server.write(chunk));
    client.on("close", () => stalled || server.destroy());
    server.on("close", () => stalled || client.end());
    client.on("error", () => undefined);
    server.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    stall: () => {
      stalled = true;
      for (const { client, server } of pairs) {
        client.pause();
        server.pause();
      }
    },
    endAfter: (bytes, how) => {
      end = { bytes, how };
    },
    connections: () => pairs.length,
    close: async () => {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
