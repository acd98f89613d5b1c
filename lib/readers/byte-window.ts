import type { ReadLimits } from "./limits.ts";
import { objectFault } from "./object-faults.ts";

/**
 * The bytes at hand: a window that moves over the decoded fragment. `bytes[i]` is the fragment's byte `base + i`, and
 * `end` bytes are valid. Whoever calls `more` looks at all three again.
 */
export type ByteWindow = {
  readonly bytes: Buffer;
  readonly base: number;
  readonly end: number;
  /** Takes in further bytes and keeps those from offset `keep` on; false where the fragment ends. */
  readonly more: (keep: number) => Promise<boolean>;
  /** Lets go of the source. */
  readonly close: () => Promise<void>;
};

export type WindowSource = {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly offset: number;
  readonly key: string;
  /** Bytes that are to come, where that is known: many fragments are small, and so is a window for them. */
  readonly expected?: number;
};

const largeBytes = 1024 * 1024;
const smallBytes = 16 * 1024;
/** A source may hand over the whole object as one chunk: it is taken in pieces, so that the window stays small. */
const maxTakenBytes = 256 * 1024;
const nothing = new Uint8Array(0);

export function openWindow(source: WindowSource, limits: ReadLimits): ByteWindow {
  const chunks = source.chunks[Symbol.asyncIterator]();
  const initialBytes = initialBytesOf(source);
  const close = () => closeSource(chunks);
  const window = { bytes: Buffer.allocUnsafeSlow(initialBytes), base: source.offset, end: 0, more, close };
  let chunk: Uint8Array = nothing;

  async function more(keep: number): Promise<boolean> {
    while (chunk.length === 0) {
      const next = await chunks.next();
      if (next.done) return false;
      chunk = next.value;
    }
    const taken = chunk.subarray(0, maxTakenBytes);
    chunk = chunk.subarray(taken.length);
    makeRoom(keep, taken.length);
    window.bytes.set(taken, window.end);
    window.end += taken.length;
    if (window.base + window.end <= limits.maxDecodedBytes) return true;
    throw tooLarge(source, limits);
  }

  function makeRoom(keep: number, bytes: number): void {
    if (window.end + bytes <= window.bytes.length) return;
    const start = Math.min(keep - window.base, window.end);
    const kept = window.end - start;
    const needed = kept + bytes;
    const fits = needed * 2 <= window.bytes.length && window.bytes.length <= largeBytes;
    const target = fits ? window.bytes : Buffer.allocUnsafeSlow(Math.max(initialBytes, needed * 2));
    window.bytes.copy(target, 0, start, window.end);
    window.bytes = target;
    window.base += start;
    window.end = kept;
  }

  return window;
}

function initialBytesOf({ expected = largeBytes }: WindowSource): number {
  return Math.max(smallBytes, Math.min(expected, largeBytes));
}

async function closeSource(chunks: AsyncIterator<Uint8Array>): Promise<void> {
  await chunks.return?.();
}

function tooLarge({ key }: WindowSource, { maxDecodedBytes }: ReadLimits): Error {
  return objectFault("S3_TOO_LARGE", key, {
    text: `more than ${maxDecodedBytes} decoded bytes, the limit of a fragment; split it`,
  });
}
