import type { Readable } from "node:stream";
import { LoaderError, TransientError } from "../core/errors.ts";

export type WatchedBody = {
  readonly stream: Readable;
  /** Bytes that have to come; null where nobody knows. */
  readonly length: number | null;
  readonly subject: string;
  /** How long the sender may be silent. */
  readonly idleMilliseconds: number;
};

/**
 * The bytes of a body, all of them or an error: a body may stall for ever after its headers, or end early and cleanly.
 *
 * @throws TransientError S3_STALLED, S3_SHORT_BODY, S3_RESET or S3_CHECKSUM
 */
export function watchBody(body: WatchedBody): AsyncGenerator<Uint8Array> {
  // a reset before the first read would otherwise be an uncaught event; the loop below still gets it
  body.stream.on("error", () => {});
  return readWatched(body);
}

async function* readWatched(body: WatchedBody): AsyncGenerator<Uint8Array> {
  const { stream, length, subject } = body;
  let received = 0;
  // runs only while we wait for the sender: a slow reader is no stall
  let timer = startTimer(body);
  try {
    for await (const chunk of stream) {
      clearTimeout(timer);
      received += (chunk as Uint8Array).length;
      yield chunk as Uint8Array;
      timer = startTimer(body);
    }
  } catch (error) {
    throw toBodyFault(error, subject);
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
  if (length === null || received === length) return;
  const text = `${subject}: the body ended after ${received} of ${length} bytes; it is read again`;
  throw new TransientError("S3_SHORT_BODY", text, { received, length });
}

function startTimer({ stream, subject, idleMilliseconds }: WatchedBody): NodeJS.Timeout {
  const text = `${subject}: no byte came for ${idleMilliseconds / 1000} s; it is read again`;
  return setTimeout(() => stream.destroy(new TransientError("S3_STALLED", text)), idleMilliseconds);
}

function toBodyFault(error: unknown, subject: string): LoaderError {
  if (error instanceof LoaderError) return error;
  if (error instanceof Error && error.message.startsWith("Checksum mismatch")) {
    const text = `${subject}: the bytes that came do not match the object's checksum`;
    return new TransientError("S3_CHECKSUM", text, { cause: error });
  }
  const text = `${subject}: the connection broke in the middle of the body; it is read again`;
  return new TransientError("S3_RESET", text, { cause: error });
}
