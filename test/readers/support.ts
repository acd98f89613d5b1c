import { PermanentError } from "../../lib/core/errors.ts";
import { ExactNumber, type JsonValue } from "../../lib/core/json.ts";
import type { ObjectStore, ObjectVersion } from "../../lib/core/objects.ts";
import type { RecordGroup } from "../../lib/core/records.ts";
import { type ExactValue, readExactly, summarize } from "../../lib/readers/json/exact-values.ts";
import { tokenized } from "../../lib/readers/json/syntax.ts";
import { type ReadFragmentOptions, type ReadSummary, readFragment } from "../../lib/readers/read-fragment.ts";

export const key = "staging/validated/batch-1/blood.json";

export type Stored = {
  readonly body: Uint8Array;
  readonly contentEncoding?: string | null;
  /** Sizes of the chunks in which the body arrives, over and over. */
  readonly chunkSizes?: readonly number[];
};

export type Source = {
  readonly store: Pick<ObjectStore, "read">;
  readonly version: ObjectVersion;
  readonly reads: number[];
  /** Bytes that went out. */
  sent: number;
  open: number;
};

/** One object in memory; it knows from where it was read, and how many of its bodies are still open. */
export function storeOf(stored: Stored): Source {
  const version = { key, versionId: "v1", etag: '"e"', size: stored.body.length, lastModified: new Date(0) };
  const source: Source = { version, reads: [], sent: 0, open: 0, store: { read } };
  async function read(_version: ObjectVersion, fromByte = 0) {
    if (fromByte > 0 && fromByte >= stored.body.length) throw new Error("416 InvalidRange");
    source.reads.push(fromByte);
    return { bytes: chunks(fromByte), contentEncoding: stored.contentEncoding ?? null };
  }
  async function* chunks(fromByte: number) {
    const sizes = stored.chunkSizes ?? [64 * 1024];
    source.open++;
    try {
      for (let at = fromByte, n = 0; at < stored.body.length; n++) {
        const size = sizes[n % sizes.length] as number;
        source.sent += Math.min(size, stored.body.length - at);
        yield stored.body.subarray(at, at + size);
        at += size;
      }
    } finally {
      source.open--;
    }
  }
  return source;
}

export function stored(content: string | Uint8Array | Stored): Stored {
  if (typeof content === "string") return { body: Buffer.from(content) };
  return content instanceof Uint8Array ? { body: content } : content;
}

export type ReadResult = { readonly groups: readonly RecordGroup[]; readonly summary: ReadSummary };

export async function readFrom(source: Source, options: ReadFragmentOptions = { from: null }): Promise<ReadResult> {
  const groups: RecordGroup[] = [];
  const reader = readFragment(source.store, source.version, options);
  for (;;) {
    const next = await reader.next();
    if (next.done) return { groups, summary: next.value };
    groups.push(next.value);
  }
}

export async function read(content: string | Uint8Array | Stored, limits: ReadFragmentOptions["limits"] = {}) {
  const source = storeOf(stored(content));
  const { groups, summary } = await readFrom(source, { from: null, limits });
  const records = groups.flatMap((group) => group.records);
  return { source, groups, summary, records, values: records.map(({ value }) => value) };
}

/** The fault that reading ends with, and the records that came before it. */
export async function faultOf(content: string | Uint8Array | Stored, limits: ReadFragmentOptions["limits"] = {}) {
  const source = storeOf(stored(content));
  const reader = readFragment(source.store, source.version, { from: null, limits });
  let records = 0;
  try {
    for await (const group of reader) records += group.records.length;
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    if (source.open > 0) throw new Error("the body was left open");
    return {
      code: error.code,
      message: error.message,
      details: error.details,
      records,
      sent: source.sent,
      reads: source.reads,
    };
  }
  throw new Error(`no fault after ${records} records`);
}

function tapedText(text: string) {
  const { tape, bytes } = tokenized(Buffer.from(text), 1_000);
  return { tokens: tape.tokens, bytes, length: tape.length };
}

export function readExactText(text: string): ExactValue {
  return readExactly(tapedText(text), 0);
}

/** Whether the text cannot be left to `JSON.parse`. */
export function isExactText(text: string): boolean {
  const taped = tapedText(text);
  return summarize(taped, 0, taped.length).needsExactRead;
}

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;
const parseWith = JSON.parse as (text: string, reviver: Reviver) => JsonValue;

/** The slow reader that ours is compared with. */
export function naiveParse(text: string): JsonValue {
  return parseWith(text, (_key, value, { source }) => {
    const differs = typeof value === "number" && source !== undefined && String(value) !== source;
    return differs ? new ExactNumber(source) : value;
  });
}
