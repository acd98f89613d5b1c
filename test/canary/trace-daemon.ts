import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { vi } from "vitest";

/** A subsegment, as the daemon of X-Ray gets it. */
export type Segment = {
  readonly name: string;
  readonly annotations: Readonly<Record<string, string | number | boolean>>;
  readonly metadata?: unknown;
  readonly cause?: { readonly exceptions: readonly { readonly message: string; readonly type: string }[] };
};

export type TraceDaemon = {
  /** What has come so far, as it came. */
  readonly texts: readonly string[];
  segments(): Segment[];
  close(): void;
};

/**
 * Stands in for the daemon beside a Lambda, and for Lambda's environment, at which the tracer looks when it is loaded: so
 * it has to be opened before any handler is imported.
 */
export async function openTraceDaemon(): Promise<TraceDaemon> {
  const texts: string[] = [];
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.on("message", (message) => texts.push(message.toString()));
  const { port } = socket.address() as AddressInfo;
  const lambda = {
    AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
    LAMBDA_TASK_ROOT: "/var/task",
    AWS_XRAY_DAEMON_ADDRESS: `127.0.0.1:${port}`,
    _X_AMZN_TRACE_ID: "Root=1-66000000-000000000000000000000001;Parent=0000000000000001;Sampled=1",
    _HANDLER: "index.handler",
  };
  for (const [name, value] of Object.entries(lambda)) vi.stubEnv(name, value);
  // a line of the protocol, then the segment
  const segments = (): Segment[] => texts.map((text) => JSON.parse(text.slice(text.indexOf("\n"))) as Segment);
  return { texts, segments, close: () => socket.close() };
}
