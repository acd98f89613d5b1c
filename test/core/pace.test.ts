import fc from "fast-check";
import { expect, test } from "vitest";
import { nextPace, startPace } from "../../lib/core/workers.ts";

const mebibyte = 1024 * 1024;
const calm = { bytes: 100 * mebibyte, seconds: 10, memoryShare: 0.3 };

test("begins with whole chunks and the largest slice", () => {
  expect(startPace(1000)).toEqual({ groupRecords: 1000, sliceBytes: 256 * mebibyte });
});

test("slices take about 20 s, whatever the throughput; short ones tell nothing", () => {
  const slow = nextPace(startPace(1000), { ...calm, bytes: 20 * mebibyte }, 1000);
  expect(slow.sliceBytes).toBe(40 * mebibyte);
  expect(nextPace(slow, { ...calm, bytes: 1000, seconds: 0.1 }, 1000)).toEqual(slow);
  expect(nextPace(slow, calm, 1000).sliceBytes).toBe(200 * mebibyte);
  expect(nextPace(slow, { ...calm, bytes: 1000 }, 1000).sliceBytes).toBe(mebibyte);
});

test("chunks become smaller where memory is short, and grow again up to the batch size", () => {
  const short = { ...calm, memoryShare: 0.9 };
  const halved = nextPace(startPace(1000), short, 1000);
  expect(halved.groupRecords).toBe(500);
  expect(nextPace(halved, { ...calm, memoryShare: 0.7 }, 1000).groupRecords).toBe(500);
  expect(nextPace(halved, calm, 1000).groupRecords).toBe(1000);
});

test("stays within its bounds for ever", () => {
  const measured = fc.record({
    bytes: fc.nat(2 ** 31 - 1),
    seconds: fc.double({ min: 0, max: 40, noNaN: true }),
    memoryShare: fc.double({ min: 0, max: 2, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.array(measured, { maxLength: 50 }), (batchSize, all) => {
      let pace = startPace(batchSize);
      for (const one of all) {
        pace = nextPace(pace, one, batchSize);
        expect(pace.groupRecords).toBeGreaterThanOrEqual(Math.min(16, batchSize));
        expect(pace.groupRecords).toBeLessThanOrEqual(batchSize);
        expect(pace.sliceBytes).toBeGreaterThanOrEqual(mebibyte);
        expect(pace.sliceBytes).toBeLessThanOrEqual(256 * mebibyte);
      }
    }),
  );
});
