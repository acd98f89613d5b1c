import { hashBytes } from "./murmur.ts";

/**
 * The content of a set of records as one number: the sum, modulo 2^128, of a wide hash of every record. Sums of slices
 * add up, and neither the order nor the spelling of records matters.
 */
export const fingerprintModulus = 1n << 128n;

export type Fingerprint = {
  /** Adds a record: its canonical text is the bytes from one index to another. */
  readonly add: (bytes: Uint8Array, from: number, to: number) => void;
  readonly addText: (canonical: string) => void;
  readonly sum: () => bigint;
};

/** Sums up as four numbers of 32 bits: a BigInt for every record would cost more than its hash. */
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
