/**
 * A fingerprint is the content of a set of records as one number: the sum, modulo 2^128, of a 128-bit hash of each
 * record. Those of slices add up; neither the order of the records matters nor how their JSON is written.
 */
export const fingerprintModulus = 1n << 128n;

/**
 * The version of the canonical text that is hashed, kept beside every stored fingerprint. Version 1 is the record's line
 * of COPY text for PostgreSQL without its two numbers: the mask of absent fields (`\N` if there are none), then the
 * plan's columns in their order, with tabs between them; of a rejected record it is the text as it was read. A change
 * of that text raises the version, and keeps the encoder of version 1 for comparisons with stored fingerprints.
 */
export const fingerprintVersion = 1;

export type Fingerprint = {
  /** Adds a record: its canonical text is the bytes from one index to another. */
  readonly add: (bytes: Uint8Array, from: number, to: number) => void;
  readonly addText: (canonical: string) => void;
  readonly sum: () => bigint;
};

/** Adds up in four numbers of 32 bits, the lowest first: a BigInt for each record would cost more than its hash. */
export function openFingerprint(): Fingerprint {
  const lanes = new Uint32Array(4);
  const hash = new Int32Array(4);
  const add = (bytes: Uint8Array, from: number, to: number): void => {
    hashBytes({ bytes, from, to }, hash);
    let carry = 0;
    for (let i = 0; i < 4; i += 1) {
      const sum = (lanes[i] as number) + ((hash[i] as number) >>> 0) + carry;
      lanes[i] = sum;
      carry = sum >= 2 ** 32 ? 1 : 0;
    }
  };
  const addText = (canonical: string): void => {
    const bytes = Buffer.from(canonical);
    add(bytes, 0, bytes.length);
  };
  return { add, addText, sum: () => lanes.reduceRight((sum, lane) => (sum << 32n) | BigInt(lane), 0n) };
}

export function addFingerprints(left: bigint, right: bigint): bigint {
  return (left + right) % fingerprintModulus;
}

export function sumFingerprints(parts: readonly { readonly fingerprint: bigint }[]): bigint {
  return parts.reduce((sum, { fingerprint }) => addFingerprints(sum, fingerprint), 0n);
}

type Lane = { readonly first: number; readonly rotation: number; readonly second: number };
const [c1, c2, c3, c4] = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93];
const lane1: Lane = { first: c1, rotation: 15, second: c2 };
const lane2: Lane = { first: c2, rotation: 16, second: c3 };
const lane3: Lane = { first: c3, rotation: 17, second: c4 };
const lane4: Lane = { first: c4, rotation: 18, second: c1 };

/**
 * Writes the four words of the hash, the lowest first: MurmurHash3 by Austin Appleby, MurmurHash3_x86_128 with seed 0.
 *
 * It tells contents apart that differ by chance or mistake, in a tenth of the time of a cryptographic hash. It need not
 * resist forgery: a person who can forge fragments can also have them approved.
 */
export function hashBytes(
  { bytes, from, to }: { readonly bytes: Uint8Array; readonly from: number; readonly to: number },
  words: Int32Array,
): void {
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  const length = to - from;
  const tail = to - (length % 16);
  for (let i = from; i < tail; i += 16) {
    h1 ^= scramble(wordAt(bytes, i), lane1);
    h1 = (Math.imul((((h1 << 19) | (h1 >>> 13)) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= scramble(wordAt(bytes, i + 4), lane2);
    h2 = (Math.imul((((h2 << 17) | (h2 >>> 15)) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= scramble(wordAt(bytes, i + 8), lane3);
    h3 = (Math.imul((((h3 << 15) | (h3 >>> 17)) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= scramble(wordAt(bytes, i + 12), lane4);
    h4 = (Math.imul((((h4 << 13) | (h4 >>> 19)) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  h1 ^= scramble(partAt(bytes, tail, to), lane1) ^ length;
  h2 ^= scramble(partAt(bytes, tail + 4, to), lane2) ^ length;
  h3 ^= scramble(partAt(bytes, tail + 8, to), lane3) ^ length;
  h4 ^= scramble(partAt(bytes, tail + 12, to), lane4) ^ length;
  words[0] = h1;
  words[1] = h2;
  words[2] = h3;
  words[3] = h4;
  mixTogether(words);
  for (let i = 0; i < 4; i += 1) words[i] = avalanche(words[i] as number);
  mixTogether(words);
}

function wordAt(bytes: Uint8Array, i: number): number {
  return (
    (bytes[i] as number) |
    ((bytes[i + 1] as number) << 8) |
    ((bytes[i + 2] as number) << 16) |
    ((bytes[i + 3] as number) << 24)
  );
}

/** A word at the end, of which bytes may be missing: they count as 0. */
function partAt(bytes: Uint8Array, from: number, to: number): number {
  let word = 0;
  for (let i = Math.min(to, from + 4) - 1; i >= from; i -= 1) word = (word << 8) | (bytes[i] as number);
  return word;
}

function scramble(word: number, { first, rotation, second }: Lane): number {
  const product = Math.imul(word, first);
  return Math.imul((product << rotation) | (product >>> (32 - rotation)), second);
}

function mixTogether(words: Int32Array): void {
  words[0] = (words[0] as number) + (words[1] as number) + (words[2] as number) + (words[3] as number);
  for (let i = 1; i < 4; i += 1) words[i] = (words[i] as number) + (words[0] as number);
}

function avalanche(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
