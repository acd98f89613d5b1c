import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type OpenObjectStore, openObjectStore } from "../../../lib/aws/object-store.ts";
import type { ObjectVersion } from "../../../lib/core/objects.ts";
import { bucketName } from "./local-store.ts";

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** S3 that gives prepared answers, one after the other and the last one for ever, over a real connection. */
export async function openScriptedS3(answers: readonly Answer[], versioning = true) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const answer = answers[Math.min(requests.length, answers.length - 1)];
    requests.push(`${request.method} ${request.url}`);
    answer?.(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const limits = { idleMilliseconds: 100 };
  const options = {
    bucket: bucketName,
    region: "us-east-1",
    versioning,
    bucketOwner: "123456789012",
    endpoint,
    limits,
  };
  const store: OpenObjectStore = openObjectStore(options);
  const close = async (): Promise<void> => {
    store.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { store, endpoint, requests, close };
}

export function s3Error(status: number, code: string): Answer {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`;
  return (response) => response.writeHead(status, { "content-type": "application/xml" }).end(body);
}

export function sends(body: string, headers: Record<string, string> = {}): Answer {
  return (response) => response.writeHead(200, { "content-length": String(body.length), ...headers }).end(body);
}

export function versionOf(size: number): ObjectVersion {
  return { key: "staging/validated/b/blood.json", versionId: "v1", etag: "e1", size, lastModified: new Date(0) };
}
