import type { IncomingHttpHeaders } from "node:http";

const loopback = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/;

/**
 * True if a program of this machine asks. There is no password here, and a page in a browser reaches 127.0.0.1 as well,
 * by a form or by a name that resolves to it: it then sends an Origin, or a Host other than the loopback names.
 */
export function isLocalRequest(headers: IncomingHttpHeaders): boolean {
  return headers.origin === undefined && loopback.test(headers.host ?? "");
}
