import fc from "fast-check";
import { expect, test } from "vitest";
import type { WorkItem } from "../../lib/core/work-item.ts";
import { groupMoves, movesAtOnce } from "../../lib/steps/archive-fragments.ts";

const kinds = ["superseded", "fragment", "marker"] as const;
const items = fc.array(
  fc.record({
    kind: fc.constantFrom(...kinds),
    key: fc.constantFrom("a", "b", "c", "d"),
    size: fc.oneof(fc.nat(100), fc.integer({ min: 2 ** 29, max: 2 ** 32 })),
  }),
  { maxLength: 60 },
);
const mebibytes = 1024 ** 2;

test("what is archived at a time: all in their order, of one kind, of different keys, not too much", () => {
  fc.assert(
    fc.property(items, (drawn) => {
      const ordered = drawn.toSorted((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind));
      const made = ordered.map(({ kind, key, size }) => ({ kind, object: { key, size } }) as WorkItem);
      const groups = groupMoves(made);
      expect(groups.flat()).toEqual(made);
      for (const group of groups) {
        expect(group.length).toBeGreaterThan(0);
        expect(group.length).toBeLessThanOrEqual(movesAtOnce);
        expect(new Set(group.map(({ kind }) => kind)).size).toBe(1);
        expect(new Set(group.map(({ object }) => object.key)).size).toBe(group.length);
        const bytes = group.reduce((sum, { object }) => sum + object.size, 0);
        expect(group.length === 1 || bytes <= 1024 * mebibytes).toBe(true);
      }
    }),
  );
});
