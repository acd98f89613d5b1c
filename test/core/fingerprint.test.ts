import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addFingerprints, fingerprintModulus, hashBytes, openFingerprint } from "../../lib/core/fingerprint.ts";

function wordsOf(text: string, padding = 0): string[] {
  const bytes = Buffer.from("x".repeat(padding) + text);
  const words = new Int32Array(4);
  hashBytes({ bytes, from: padding, to: bytes.length }, words);
  return [...words].map((word) => (word >>> 0).toString(16).padStart(8, "0"));
}

/** The sum as it is defined, without lanes and carries. */
function naiveSum(texts: readonly string[]): bigint {
  const hashes = texts.map((text) => BigInt(`0x${wordsOf(text).toReversed().join("")}`));
  return hashes.reduce((sum, hash) => sum + hash, 0n) % fingerprintModulus;
}

function sumOf(texts: readonly string[]): bigint {
  const fingerprint = openFingerprint();
  for (const text of texts) fingerprint.addText(text);
  return fingerprint.sum();
}

const texts = fc.array(fc.string({ unit: "binary", maxLength: 40 }), { maxLength: 30 });

describe("MurmurHash3_x86_128", () => {
  test.each([
    ["", ["00000000", "00000000", "00000000", "00000000"]],
    ["The quick brown fox jumps over the lazy dog", ["2f1583c3", "ecee2c67", "5d7bf66c", "e5e91d2c"]],
  ])("of %j is the published one", (text, words) => {
    expect(wordsOf(text)).toEqual(words);
  });

  test("does not depend on where the bytes lie", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(20), (text, padding) => {
        expect(wordsOf(text, padding)).toEqual(wordsOf(text));
      }),
    );
  });

  test("changes with every byte, whatever the length of the tail", () => {
    for (let length = 1; length <= 40; length += 1) {
      const one = "a".repeat(length);
      const others = Array.from({ length }, (_, i) => `${one.slice(0, i)}b${one.slice(i + 1)}`);
      expect(new Set([one, ...others].map((text) => wordsOf(text).join(""))).size).toBe(length + 1);
    }
  });
});

describe("a fingerprint", () => {
  test("is the sum of the hashes modulo 2^128, with every carry", () => {
    fc.assert(
      fc.property(texts, (given) => {
        expect(sumOf(given)).toBe(naiveSum(given));
      }),
    );
    // Enough of them to run over the highest word many times.
    const many = Array.from({ length: 1_000 }, (_, i) => `record ${i}`);
    expect(sumOf(many)).toBe(naiveSum(many));
  });

  test("does not depend on the order of the records", () => {
    fc.assert(
      fc.property(texts, (given) => {
        expect(sumOf(given.toReversed())).toBe(sumOf(given));
      }),
    );
  });

  test("of slices adds up to that of the whole", () => {
    fc.assert(
      fc.property(texts, texts, (one, other) => {
        expect(addFingerprints(sumOf(one), sumOf(other))).toBe(sumOf([...one, ...other]));
      }),
    );
  });

  test("tells a record that comes twice from one that comes once", () => {
    expect(sumOf(["{}", "{}"])).not.toBe(sumOf(["{}"]));
  });
});
