import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { GetObjectCommand, type GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { classifyAwsError } from "../core/classify-error.ts";
import { LoaderError, PermanentError, TransientError } from "../core/errors.ts";
import { largestText, type ObjectBody, type ObjectVersion } from "../core/objects.ts";
import { type BucketAccess, bucketOf, pinOf, subjectOf, unquoteEtag } from "./bucket-access.ts";
import { callAws } from "./client-config.ts";

/**
 * Reads one version from a byte offset on. A range that begins at the end is empty; S3 would answer it with 416.
 *
 * @throws PermanentError S3_CHANGED if the object has another length than the version; see watchBody for the bytes
 */
export async function readVersion(access: BucketAccess, version: ObjectVersion, fromByte = 0): Promise<ObjectBody> {
  const subject = subjectOf(access, version.key, version.versionId);
  const length = version.size - fromByte;
  if (length === 0 && fromByte > 0) return { bytes: Readable.from([]), contentEncoding: null };
  const range = fromByte > 0 ? { Range: `bytes=${fromByte}-` } : {};
  const input = { ...bucketOf(access), ...pinOf(version), ...range };
  const answer = await callAws(subject, () => access.client.send(new GetObjectCommand(input)));
  const stream = bodyOf(answer);
  if (answer.ContentLength !== undefined && answer.ContentLength !== length) {
    stream.destroy();
    const text = `${subject}: expected ${length} bytes from byte ${fromByte} on, got ${answer.ContentLength}; it was replaced`;
    throw new PermanentError("S3_CHANGED", text, { length, got: answer.ContentLength });
  }
  const bytes = watchBody({ stream, length, subject, idleMilliseconds: access.limits.idleMilliseconds });
  return { bytes, contentEncoding: answer.ContentEncoding || null };
}

type Text = { readonly text: string; readonly etag: string };

/**
 * The text of the current object or of a version, without a byte order mark; null if there is none.
 *
 * @throws PermanentError S3_TOO_LARGE above `largestText` bytes
 */
export async function readText(access: BucketAccess, key: string, version?: ObjectVersion): Promise<Text | null> {
  const subject = subjectOf(access, key, version?.versionId);
  const answer = await findObject(access, version ? pinOf(version) : { Key: key });
  if (answer === null) return null;
  const stream = bodyOf(answer);
  const length = answer.ContentLength ?? null;
  if (length !== null && length > largestText) {
    stream.destroy();
    const text = `${subject}: expected at most ${largestText} bytes, got ${length}; store a smaller object`;
    throw new PermanentError("S3_TOO_LARGE", text, { length });
  }
  const chunks: Uint8Array[] = [];
  const watched = { stream, length, subject, idleMilliseconds: access.limits.idleMilliseconds };
  for await (const chunk of watchBody(watched)) chunks.push(chunk);
  return { text: new TextDecoder().decode(Buffer.concat(chunks)), etag: unquoteEtag(answer.ETag) };
}

/** SHA-256 of a version's bytes, in hex. */
export async function hashVersion(access: BucketAccess, version: ObjectVersion): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of (await readVersion(access, version)).bytes) hash.update(chunk);
  return hash.digest("hex");
}

async function findObject(
  access: BucketAccess,
  pin: { readonly Key: string } | ReturnType<typeof pinOf>,
): Promise<GetObjectCommandOutput | null> {
  try {
    return await access.client.send(new GetObjectCommand({ ...bucketOf(access), ...pin }));
  } catch (error) {
    if (absent.has((error as Error).name)) return null;
    throw classifyAwsError(error, subjectOf(access, pin.Key)) ?? error;
  }
}

/** By name, since a missing bucket answers 404 as well. Without versioning, a replaced version answers 412. */
const absent = new Set(["NoSuchKey", "NoSuchVersion", "PreconditionFailed"]);

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  return Body instanceof Readable ? Body : Readable.from([]);
}

type WatchedBody = {
  readonly stream: Readable;
  /** Bytes that have to come; null if S3 did not name a length. */
  readonly length: number | null;
  readonly subject: string;
  /** Time that the sender may be silent. */
  readonly idleMilliseconds: number;
};

/**
 * Yields all bytes of a body, or throws: a body may stall for ever after its headers, or end early without an error.
 *
 * @throws TransientError S3_STALLED, S3_SHORT_BODY, S3_RESET or S3_CHECKSUM
 */
function watchBody(body: WatchedBody): AsyncGenerator<Uint8Array> {
  // a reset before the first read would otherwise be an uncaught event; the loop of readWatched still gets it
  body.stream.on("error", () => {});
  return readWatched(body);
}

async function* readWatched(body: WatchedBody): AsyncGenerator<Uint8Array> {
  const { stream, length, subject } = body;
  let received = 0;
  // runs only while waiting for the sender: a slow reader is no stall
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
