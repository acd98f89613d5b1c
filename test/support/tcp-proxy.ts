import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type TcpProxy = {
  readonly port: number;
  /** Relays nothing from now on, in either direction, and tells neither end. */
  stall(): void;
  /** Ends every connection as soon as the server has sent so many bytes on it. */
  endAfter(bytes: number, how: "reset" | "close"): void;
  /** How many connections clients have opened. */
  connections(): number;
  close(): Promise<void>;
};

type Relaying = {
  readonly pairs: { readonly client: Socket; readonly server: Socket }[];
  stalled: boolean;
  end: { readonly bytes: number; readonly how: "reset" | "close" } | null;
};

/** A network between client and server, with the faults of networks. */
export async function openTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const relaying: Relaying = { pairs: [], stalled: false, end: null };
  const listener = createServer({ allowHalfOpen: false }, (client) => relay(relaying, client, connect(target)));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    stall: () => {
      relaying.stalled = true;
      for (const { client, server } of relaying.pairs) {
        client.pause();
        server.pause();
      }
    },
    endAfter: (bytes, how) => {
      relaying.end = { bytes, how };
    },
    connections: () => relaying.pairs.length,
    close: async () => {
      for (const { client, server } of relaying.pairs) {
        client.destroy();
        server.destroy();
      }
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function relay(relaying: Relaying, client: Socket, server: Socket): void {
  relaying.pairs.push({ client, server });
  let sent = 0;
  const finish = (): void => {
    if (relaying.end?.how === "reset") client.resetAndDestroy();
    else client.end();
    server.destroy();
  };
  if (relaying.end?.bytes === 0) finish();
  server.on("data", (chunk) => {
    const { end } = relaying;
    const rest = end === null ? chunk.length : Math.max(0, end.bytes - sent);
    sent += chunk.length;
    client.write(chunk.subarray(0, rest));
    if (end !== null && sent >= end.bytes) finish();
  });
  client.on("data", (chunk) => server.write(chunk));
  client.on("close", () => relaying.stalled || server.destroy());
  server.on("close", () => relaying.stalled || client.end());
  client.on("error", () => undefined);
  server.on("error", () => undefined);
}
