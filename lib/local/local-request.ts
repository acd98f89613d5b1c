import type { IncomingHttpHeaders } from "node:http";

const loopback = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/;

/**
 * True where a program of this machine asks. There is no password here, and a page in a browser reaches 127.0.0.1 as
 * well, by a form or by a name that resolves to it: then it sends an Origin, or a Host that is not ours.
 */
export function isLocalRequest(headers: IncomingHttpHeaders): boolean {
  return headers.origin === undefined && loopback.test(headers.host ?? "");
}
