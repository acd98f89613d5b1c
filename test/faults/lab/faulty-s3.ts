import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { Exchanges } from "./exchanges.ts";
import type { Owner } from "./tcp-relay.ts";

/** An answer of S3 that is not what was asked for. */
export type FalseAnswer =
  | { readonly status: number; readonly code: string }
  /**
   * The first bytes of the real body; then it `ends` as if that were all, the connection is `reset`, or nothing comes
   * any more (`stalls`).
   */
  | { readonly bodyBytes: number; readonly ending: "ends" | "reset" | "stalls" }
  /** The real answer with other headers. */
  | { readonly headers: Readonly<Record<string, string>> };

type S3Rule = {
  /** `GET /bucket/key?versionId=...`, decoded. */
  readonly when: (asked: string) => boolean;
  readonly answer: FalseAnswer;
  /** @default for ever */
  readonly times?: number;
};

export type S3Faults = {
  /** Adds a rule; the function answered says how often it has acted. */
  on(rule: S3Rule): () => number;
  take(asked: string): FalseAnswer | null;
  reset(): void;
};

export function openS3Faults(): S3Faults {
  const armed: { readonly rule: S3Rule; acted: number }[] = [];
  return {
    on(rule) {
      const entry = { rule, acted: 0 };
      armed.push(entry);
      return () => entry.acted;
    },
    take(asked) {
      const taken = armed.find(
        ({ rule, acted }) => acted < (rule.times ?? Number.POSITIVE_INFINITY) && rule.when(asked),
      );
      if (!taken) return null;
      taken.acted += 1;
      return taken.rule.answer;
    },
    reset() {
      armed.length = 0;
    },
  };
}

type FaultyS3Options = {
  /** The stand-in: `http://127.0.0.1:<port>`. */
  readonly upstream: string;
  readonly owner: Owner;
  readonly exchanges: Exchanges;
  readonly faults: S3Faults;
};

type FaultyS3 = { readonly port: number; close(): Promise<void> };

type Proxy = FaultyS3Options & { readonly agent: Agent };

/** A proxy in front of S3 that counts every request as an exchange. */
export async function openFaultyS3(options: FaultyS3Options): Promise<FaultyS3> {
  const agent = new Agent({ keepAlive: true });
  const server: Server = createServer((asked, answer) => {
    // a client or an upstream that goes away ends the one request, and not the proxy
    serve({ ...options, agent }, asked, answer).catch(() => answer.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    close: async () => {
      server.close();
      server.closeAllConnections();
      agent.destroy();
    },
  };
}

async function serve(proxy: Proxy, asked: IncomingMessage, answer: ServerResponse): Promise<void> {
  const { owner, exchanges, faults } = proxy;
  const text = `${asked.method} ${decodeURIComponent(asked.url ?? "")}`;
  const act = exchanges.begin({ link: "bucket", by: owner.name(), text });
  if (act === "hold") return;
  if (act === "kill-before") return owner.kill();
  if (act === "reset-before") return void asked.socket.resetAndDestroy();
  if (typeof act === "function") await act();
  const wrong = faults.take(text);
  if (wrong && "status" in wrong) return refuse(asked, answer, wrong);
  const real = await forward(proxy, asked);
  if (act === "kill-after" || act === "reset-after") {
    await collect(real);
    return act === "kill-after" ? owner.kill() : void asked.socket.resetAndDestroy();
  }
  const headers = { ...real.headers, ...(wrong && "headers" in wrong ? wrong.headers : {}) };
  if (!wrong || !("bodyBytes" in wrong)) {
    answer.writeHead(real.statusCode ?? 500, headers);
    return void real.pipe(answer);
  }
  await sendPart(answer, await collect(real), { headers, status: real.statusCode ?? 500, part: wrong });
}

async function forward({ upstream, agent }: Proxy, asked: IncomingMessage): Promise<IncomingMessage> {
  const { expect, ...headers } = asked.headers;
  const { hostname, port } = new URL(upstream);
  const sent = request({ hostname, port, method: asked.method, path: asked.url, headers, agent });
  asked.pipe(sent);
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  return answer;
}

async function collect(body: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function refuse(
  asked: IncomingMessage,
  answer: ServerResponse,
  { status, code }: { status: number; code: string },
): void {
  asked.resume();
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>as ordered</Message></Error>`;
  answer.writeHead(status, { "content-type": "application/xml", "content-length": Buffer.byteLength(body) });
  answer.end(asked.method === "HEAD" ? undefined : body);
}

type Part = {
  readonly headers: IncomingMessage["headers"];
  readonly status: number;
  readonly part: Extract<FalseAnswer, { bodyBytes: number }>;
};

async function sendPart(answer: ServerResponse, body: Buffer, { headers, status, part }: Part): Promise<void> {
  const { "content-length": length, ...others } = headers;
  // without a length the end of the body is a clean one wherever it comes
  answer.writeHead(status, part.ending === "ends" ? others : headers);
  await new Promise<void>((resolve) => answer.write(body.subarray(0, part.bodyBytes), () => resolve()));
  if (part.ending === "ends") answer.end();
  if (part.ending === "reset") answer.socket?.resetAndDestroy();
}
