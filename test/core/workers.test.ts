import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { longestTurnWaitSeconds } from "../../lib/core/durations.ts";
import { assignWorkers, freeLoads, isTurn, secondsUntilAsked, wantedWorkers } from "../../lib/core/workers.ts";

const megabytes = (count: number): number => count * 1024 * 1024;
const capacity = fc.record({
  workers: fc.nat(60),
  loads: fc.nat(20),
  freeConnections: fc.integer({ min: -50, max: 200 }),
  lockWaits: fc.nat(30),
});
const limits = fc.record({ maxWorkers: fc.integer({ min: 1, max: 40 }), maxLoads: fc.integer({ min: 1, max: 10 }) });

describe("what fragments ask for", () => {
  test.each([
    ["nothing", [], 1],
    ["one small fragment", [1_000], 1],
    ["one big fragment, which one worker reads", [megabytes(500)], 1],
    ["three fragments of 8 MB", [megabytes(8), megabytes(8), megabytes(8)], 3],
    ["250 small ones", Array(250).fill(1_000), 3],
    ["very many", Array(20_000).fill(megabytes(1)), 8],
  ])("%s", (_, sizes, wanted) => {
    expect(wantedWorkers(sizes as number[])).toBe(wanted);
  });
});

describe("what a load gets", () => {
  test("never more than it asks for, than the cap leaves, or than the server has connections; never none", () => {
    const dealings = fc.tuple(fc.integer({ min: 1, max: 8 }), capacity, limits, fc.nat(100));
    fc.assert(
      fc.property(dealings, ([wanted, found, { maxWorkers }, others]) => {
        const workers = assignWorkers(wanted, found, { maxWorkers, others });
        expect(workers).toBeGreaterThanOrEqual(1);
        expect(workers).toBeLessThanOrEqual(wanted);
        expect(workers).toBeLessThanOrEqual(Math.max(1, maxWorkers - found.workers));
        expect(workers).toBeLessThanOrEqual(Math.max(1, found.freeConnections));
      }),
    );
  });

  test("everything that is free where nobody else waits, a share of it otherwise, less where sessions wait for locks", () => {
    const idle = { workers: 0, loads: 0, freeConnections: 80, lockWaits: 0 };
    expect(assignWorkers(8, idle, { maxWorkers: 20, others: 0 })).toBe(8);
    expect(assignWorkers(8, idle, { maxWorkers: 20, others: 4 })).toBe(4);
    expect(assignWorkers(8, { ...idle, lockWaits: 1 }, { maxWorkers: 20, others: 0 })).toBe(4);
    expect(assignWorkers(8, { ...idle, lockWaits: 20 }, { maxWorkers: 20, others: 0 })).toBe(1);
    expect(assignWorkers(8, { ...idle, freeConnections: 3 }, { maxWorkers: 20, others: 0 })).toBe(3);
  });
});

describe("who may begin", () => {
  test("as many as loads, workers and connections leave; one always, where none is at work", () => {
    fc.assert(
      fc.property(capacity, limits, (found, { maxWorkers, maxLoads }) => {
        const free = freeLoads(found, { maxWorkers, maxLoads });
        if (found.loads === 0) expect(free).toBeGreaterThanOrEqual(1);
        else if (free > 0) {
          expect(free + found.loads).toBeLessThanOrEqual(maxLoads);
          expect(free + found.workers).toBeLessThanOrEqual(maxWorkers);
          expect(free).toBeLessThanOrEqual(found.freeConnections);
        }
      }),
    );
  });

  test("whoever is near the head asks again sooner, and nobody waits longer than half a minute", () => {
    expect([0, 50, 500].map((ahead) => secondsUntilAsked(ahead, 0))).toEqual([2, 10, 30]);
    expect([200, 1_000, 40_000].map((waited) => secondsUntilAsked(0, waited))).toEqual([2, 10, 30]);
  });

  test("an execution that waits as long as it may stays within its 25,000 events", () => {
    const eventsPerQuestion = 10;
    let waited = 0;
    let questions = 0;
    for (; waited < longestTurnWaitSeconds; questions += 1) waited += secondsUntilAsked(0, waited);
    expect(questions * eventsPerQuestion).toBeLessThan(20_000);
  });

  test("who has just come waits a little where others wait, too: those who come at once are not yet all in line", () => {
    expect(isTurn({ ahead: 0, waiting: 5, waited: 0 }, 5)).toBe(true);
    expect(isTurn({ ahead: 0, waiting: 6, waited: 0 }, 5)).toBe(false);
    expect(isTurn({ ahead: 4, waiting: 6, waited: 5 }, 5)).toBe(true);
    expect(isTurn({ ahead: 5, waiting: 6, waited: 60 }, 5)).toBe(false);
  });
});
