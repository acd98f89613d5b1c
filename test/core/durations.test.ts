import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as d from "../../lib/core/durations.ts";
import { root } from "../support/sources.ts";

/** The relations between the durations, which a new number for one of them must not break. */

type Step = readonly [what: string, seconds: number];

describe.each<[group: string, ...Step[]]>([
  [
    "a load",
    ["a commit with what is kept back", d.transactionTimeoutSeconds + d.commitReserveSeconds],
    ["an invocation", d.lambdaTimeoutSeconds],
    ["a task", d.taskTimeoutSeconds],
    ["the lease", d.leaseSeconds],
  ],
  [
    "a load that moves",
    ["the slice that is aimed at", d.sliceTargetSeconds],
    ["the longest slice", d.sliceSeconds],
    ["a quiet load", d.quietLoadSeconds],
    ["a stalled load", d.stallMinutes * 60],
    ["the lease", d.leaseSeconds],
  ],
  [
    "a blocked load",
    ["the first round", d.blockedWait.firstSeconds],
    ["the longest round", d.blockedWait.longestSeconds],
    ["the lease", d.leaseSeconds],
  ],
  [
    "a worker without an item",
    ["a look", d.stagePatience.lookMilliseconds / 1000],
    ["its patience", d.stagePatience.seconds],
    ["what it keeps back", d.stageReserveSeconds],
  ],
  [
    "a worker that waits",
    ["first", d.stageWait.firstSeconds],
    ["longest", d.stageWait.longestSeconds],
    ["a stalled load", d.stallMinutes * 60],
  ],
  ["a refused task", ["first", d.throttledWait.firstSeconds], ["longest", d.throttledWait.longestSeconds]],
  [
    "a batch in line",
    ["what arrives together", d.turnSettleSeconds],
    ["a pause and two refused tries", d.longestTurnPauseSeconds + 2 * d.throttledWait.longestSeconds],
    ["its place", d.turnPlaceSeconds],
    ["the longest wait", d.longestTurnWaitSeconds],
    ["a long execution", d.longExecutionHours * 3600],
  ],
  [
    "the sweep",
    ["one sweep", d.sweepTimeoutSeconds],
    ["its lease", d.sweepLeaseSeconds],
    ["silence for doctor", d.sweepSilenceMinutes * 60],
    ["silence for the alarm", d.sweepAlarmMinutes * 60],
  ],
  ["orphans", ["for the sweep", d.orphanMinutes], ["for doctor", d.leftoverMinutes]],
  [
    "doctor",
    ["an answer", d.doctorAnswerSeconds],
    ["a check", d.doctorCheckSeconds],
    ["all of them", d.doctorSeconds],
    ["the function", d.operateTimeoutSeconds],
  ],
  [
    "a session",
    ["somebody's lock", d.lockWaitSeconds],
    ["a client that is gone", d.deadClientSeconds],
    ["a stuck one", d.stuckSessionMinutes * 60],
  ],
  ["a plain transaction", ["somebody's lock", d.lockWaitSeconds], ["all of it", d.plainTransactionSeconds]],
  ["a copy in parts", ["the lease", d.leaseSeconds], ["its life", d.unfinishedUploadDays * 24 * 3600]],
])("%s", (_, ...steps) => {
  const pairs = steps.slice(1).map(([what, more], index) => {
    const [before, less] = steps[index] as Step;
    return { before, less, what, more };
  });

  test.each(pairs)("$before ($less) < $what ($more)", ({ less, more }) => {
    expect(less).toBeLessThan(more);
  });
});

test("a sweep ends in its function, and the lease of one that was killed before the next one", () => {
  expect(d.sweepTimeoutSeconds).toBeLessThanOrEqual(d.lambdaTimeoutSeconds);
  expect(d.sweepLeaseSeconds).toBeLessThanOrEqual(d.sweepIntervalMinutes * 60);
});

test("the alarm on silence counts whole periods", () => {
  expect(d.sweepAlarmMinutes % d.sweepIntervalMinutes).toBe(0);
});

test("a message comes again after six times what start-load may take", () => {
  expect(d.arrivalVisibilityMinutes * 60).toBeGreaterThanOrEqual(6 * d.startLoadTimeoutSeconds);
});

/** A migration is never edited; the newest one that makes the view says what it does. */
test("the view loader_status calls a load stalled after stallMinutes", () => {
  const definitions = globSync("lib/ledger/migrations/*.sql", { cwd: root })
    .toSorted()
    .map((path) => readFileSync(join(root, path), "utf8"))
    .flatMap((text) => text.match(/create (?:or replace )?view public\.loader_status\b[^;]*;/g) ?? []);
  const limits = [...(definitions.at(-1) ?? "").matchAll(/interval '([^']*)'/g)].map(([, interval]) => interval);
  expect(limits).toEqual([`${d.stallMinutes} minutes`]);
});
