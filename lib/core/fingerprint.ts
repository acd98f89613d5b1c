import { hash } from "node:crypto";

/**
 * The content of a set of records as one number: the sum, modulo 2^128, of a wide hash of every record. Sums of slices
 * add up, and neither the order nor the spelling of records matters.
 */
export const fingerprintModulus = 1n << 128n;

/** The hash of one record in its canonical text. */
export function fingerprintOf(canonical: string): bigint {
  const digest = hash("sha256", canonical, "buffer");
  return (digest.readBigUInt64BE(0) << 64n) | digest.readBigUInt64BE(8);
}

export function addFingerprints(left: bigint, right: bigint): bigint {
  return (left + right) % fingerprintModulus;
}
