import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";

/** Resources of one invocation besides its time. */
export type Usage = {
  /** Processor time in seconds. */
  readonly cpu: number;
  /** Requests to the bucket, by the kinds that S3 has prices for. */
  readonly requests: Readonly<Record<RequestKind, number>>;
  /** Bytes that the handler logged. */
  readonly logBytes: number;
};

/** HEAD costs what GET does, COPY and LIST what PUT does, DELETE nothing. */
export const requestKinds = ["get", "head", "put", "copy", "list", "delete"] as const;
export type RequestKind = (typeof requestKinds)[number];

const noRequests = (): Record<RequestKind, number> => ({ get: 0, head: 0, put: 0, copy: 0, list: 0, delete: 0 });

/** Counts from now on in this process; the answer gives the usage since it was last called. */
export function meterProcess(): () => Usage {
  let requests = noRequests();
  let logBytes = 0;
  let started = process.cpuUsage();
  subscribe("http.client.request.start", (message) => {
    const kind = kindOf((message as { request: ClientRequest }).request);
    if (kind !== null) requests[kind] += 1;
  });
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
    logBytes += Buffer.byteLength(chunk);
    return write(chunk, ...rest);
  }) as typeof process.stdout.write;
  return () => {
    const { user, system } = process.cpuUsage(started);
    const usage = { cpu: (user + system) / 1e6, requests, logBytes };
    requests = noRequests();
    logBytes = 0;
    started = process.cpuUsage();
    return usage;
  };
}

/** Null if it is no request to S3: other services are called by POST with a target. */
export function kindOf(request: Pick<ClientRequest, "method" | "path" | "getHeader">): RequestKind | null {
  const { method } = request;
  const { searchParams } = new URL(request.path, "http://localhost");
  const lists = ["list-type", "versions", "uploads"].some((name) => searchParams.has(name));
  if (method === "GET") return lists ? "list" : "get";
  if (method === "HEAD") return "head";
  if (method === "DELETE") return "delete";
  if (method === "POST") return searchParams.has("uploads") || searchParams.has("uploadId") ? "put" : null;
  return request.getHeader("x-amz-copy-source") === undefined ? "put" : "copy";
}

export async function timed<T>(work: () => Promise<T>): Promise<{ readonly seconds: number; readonly result: T }> {
  const started = performance.now();
  const result = await work();
  return { seconds: (performance.now() - started) / 1000, result };
}
