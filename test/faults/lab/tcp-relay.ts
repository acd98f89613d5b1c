import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { findLastingPort } from "./lasting-port.ts";

/** The sandbox at the near end of a link. */
export type Owner = {
  /** The function that runs in it; null before its first invocation. */
  name(): string | null;
  /** Ends it at once, by SIGKILL. */
  kill(): void;
};

/** The two ends of one connection, as a tap reaches them. */
export type TapEnds = {
  readonly owner: Owner;
  toServer(bytes: Buffer): void;
  toClient(bytes: Buffer): void;
  /** Resets the client and drops the server. */
  cut(): void;
};

/** Takes every chunk, and hands on what it wants to. */
export type Tap = { fromClient(chunk: Buffer): void; fromServer(chunk: Buffer): void };

type Direction = "up" | "down";

/** What the links of one kind suffer; changed while they work. */
export type LinkFaults = {
  /** Added to every chunk. */
  latencyMilliseconds: number;
  cut: Cut | null;
};

/** What becomes of a connection when so many bytes have gone `up` (to the server) or `down`. */
type Cut = {
  readonly direction: Direction;
  readonly afterBytes: number;
  times: number;
  /**
   * `silence`: whatever comes that way is swallowed, and that an end has closed is not told to the other one.
   * @default reset
   */
  readonly ending?: "reset" | "silence";
};

export function noFaults(): LinkFaults {
  return { latencyMilliseconds: 0, cut: null };
}

type RelayOptions = {
  readonly targetPort: number;
  readonly owner: Owner;
  readonly faults: LinkFaults;
  /** @default bytes pass as they come */
  readonly tap?: (ends: TapEnds) => Tap;
};

export type Relay = {
  readonly port: number;
  /** Nobody listens any more; what is connected stays. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  close(): Promise<void>;
};

const host = "127.0.0.1";

/** A way to a server of this machine that can be disturbed. */
export async function openRelay(options: RelayOptions): Promise<Relay> {
  const sockets = new Set<Socket>();
  const port = await findLastingPort();
  const listen = async (): Promise<Server> => {
    const server = createServer({ noDelay: true }, (client) => relay(options, client, sockets));
    server.listen(port, host);
    await once(server, "listening");
    return server;
  };
  let server: Server | null = await listen();
  const refuse = async (): Promise<void> => {
    server?.close();
    server = null;
  };
  return {
    port,
    refuse,
    accept: async () => {
      server ??= await listen();
    },
    close: async () => {
      await refuse();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function relay({ targetPort, owner, faults, tap }: RelayOptions, client: Socket, sockets: Set<Socket>): void {
  const server = connect({ host, port: targetPort, noDelay: true });
  const cut = (): void => {
    client.resetAndDestroy();
    server.destroy();
  };
  const link: Link = { faults, cut, silent: false };
  const [up, down] = [openLane(link, "up", server), openLane(link, "down", client)];
  const ends = { owner, cut, toServer: up.send, toClient: down.send };
  const tapped = tap?.(ends) ?? { fromClient: ends.toServer, fromServer: ends.toClient };
  const isSilent = (): boolean => link.silent;
  pass(client, server, { take: tapped.fromClient, sent: up.sent, isSilent });
  pass(server, client, { take: tapped.fromServer, sent: down.sent, isSilent });
  for (const socket of [client, server]) {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  }
}

type Passing = {
  readonly take: (chunk: Buffer) => void;
  readonly sent: () => Promise<void>;
  readonly isSilent: () => boolean;
};

function pass(from: Socket, to: Socket, { take, sent, isSilent }: Passing): void {
  from.on("data", (chunk: Buffer) => {
    take(chunk);
    if (!to.writableNeedDrain) return;
    from.pause();
    to.once("drain", () => from.resume());
  });
  from.on("error", () => undefined);
  from.once("close", async (hadError) => {
    await sent();
    if (isSilent()) return;
    // both ends close alike: a reset stays one
    if (hadError) to.resetAndDestroy();
    else to.destroySoon();
  });
}

type Link = { readonly faults: LinkFaults; readonly cut: () => void; silent: boolean };

type Lane = {
  send(bytes: Buffer): void;
  /** When nothing is on its way any more. */
  sent(): Promise<void>;
};

/** One direction of a connection, with what the faults do to it. */
function openLane(link: Link, direction: Direction, to: Socket): Lane {
  const { faults } = link;
  let sent = 0;
  let dead = false;
  let isLate = false;
  let delayed: Promise<void> = Promise.resolve();
  const send = (bytes: Buffer): void => {
    if (to.destroyed) return;
    const due = faults.cut?.direction === direction && faults.cut.times > 0 ? faults.cut : null;
    sent += bytes.length;
    if (due === null || sent < due.afterBytes) return void to.write(bytes);
    due.times -= 1;
    dead = true;
    link.silent = due.ending === "silence";
    const left = Math.max(0, bytes.length - (sent - due.afterBytes));
    to.write(bytes.subarray(0, left), () => link.silent || link.cut());
  };
  const late = (bytes: Buffer): void => {
    const { latencyMilliseconds } = faults;
    delayed = delayed.then(() => pause(latencyMilliseconds)).then(() => send(bytes));
  };
  return {
    send: (bytes) => {
      if (dead) return;
      // a connection that began with latency keeps its order
      isLate ||= faults.latencyMilliseconds > 0;
      if (isLate) late(bytes);
      else send(bytes);
    },
    sent: () => delayed,
  };
}
