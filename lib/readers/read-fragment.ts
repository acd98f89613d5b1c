import type { ObjectStore, ObjectVersion } from "../core/objects.ts";
import type { ReadPosition, RecordGroup, TakeRecord } from "../core/records.ts";
import { type BodySource, type FragmentBody, openBody, openWindow, reopenBody } from "./bytes.ts";
import type { Cursor, Medium, Shape } from "./json/cursor.ts";
import { detectShape, readTrailer } from "./json/shape.ts";
import { splitRecords } from "./json/split-records.ts";
import { openTape } from "./json/tokenize.ts";
import { defaultReadLimits, type ReadLimits } from "./limits.ts";
import { objectFault } from "./object-faults.ts";

export type ReadFragmentOptions = {
  /** Where an earlier read of the same version stopped, or null for the beginning. */
  readonly from: ReadPosition | null;
  readonly limits?: Partial<ReadLimits>;
  /** Is offered each record before it is parsed. @default none */
  readonly take?: TakeRecord;
};

export type ReadSummary = {
  /** Records of the whole fragment, those before `from` included. */
  readonly records: number;
  /** Decoded bytes of the whole fragment. */
  readonly bytes: number;
  readonly shape: string;
};

/**
 * Records of a fragment from a position on, in groups. Reads `{"records": [...]}` and `{"data": {...}}` with other
 * members around them, a bare array, and NDJSON, all of them plain or compressed: the bytes tell which, never the name.
 * Errors: PermanentError S3_EMPTY, S3_TOO_LARGE, S3_TRUNCATED, S3_CONTENT_ENCODING, JSON_SYNTAX, JSON_TRUNCATED,
 * JSON_SHAPE, JSON_DEPTH, JSON_ENCODING, RECORD_TOO_LARGE, and those of the store. All complete records before a
 * fault are handed over first.
 */
export async function* readFragment(
  store: Pick<ObjectStore, "read">,
  version: ObjectVersion,
  options: ReadFragmentOptions,
): AsyncGenerator<RecordGroup, ReadSummary> {
  const limits = { ...defaultReadLimits, ...options.limits };
  if (version.size > limits.maxDecodedBytes) {
    const text = `${version.size} bytes, more than ${limits.maxDecodedBytes}, the limit of a fragment; split it`;
    throw objectFault("S3_TOO_LARGE", version.key, { text });
  }
  const source = { store, version };
  const opened = options.from === null ? openFirst(source, limits) : openAgain(source, limits, options.from);
  const { cursor, medium } = await opened;
  try {
    yield* splitRecords(cursor, { ...medium, take: options.take ?? null, since: options.from?.offset ?? 0 });
    await readTrailer(cursor, medium.shape);
    return { records: cursor.records, bytes: cursor.window.base + cursor.window.end, shape: medium.shape };
  } finally {
    await cursor.window.close();
  }
}

type Opened = { readonly cursor: Cursor; readonly medium: Medium };

async function openFirst(source: BodySource, limits: ReadLimits): Promise<Opened> {
  const body = await openBody(source);
  const cursor = openCursor(source, limits, body, 0);
  try {
    return { cursor, medium: { shape: await detectShape(cursor), compression: body.compression } };
  } catch (error) {
    await cursor.window.close();
    throw error;
  }
}

async function openAgain(source: BodySource, limits: ReadLimits, from: ReadPosition): Promise<Opened> {
  const { offset, records, state } = from;
  const medium = { shape: state.shape as Shape, compression: state.compression as Medium["compression"] };
  const chunks = await reopenBody(source, medium.compression, offset);
  const cursor = openCursor(source, limits, { ...medium, chunks }, offset);
  const { line, lineStart } = state as { line: number; lineStart: number };
  return { medium, cursor: { ...cursor, records, line, lineStart, expects: "separator" } };
}

function openCursor({ version }: BodySource, limits: ReadLimits, body: FragmentBody, offset: number): Cursor {
  const { key, size } = version;
  const expected = body.compression === null ? { expected: size - offset } : {};
  const window = openWindow({ chunks: body.chunks, key, offset, ...expected }, limits);
  const start = { offset, depth: 0, inString: false, values: 0, line: 1, lineStart: 0, records: 0 };
  return { key, limits, window, tape: openTape(limits.maxDepth), ...start, expects: "first" };
}
