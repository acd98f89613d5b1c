import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { constraintObligations } from "./constraint-obligations.ts";
import { drive } from "./drive.ts";
import { effectObligations } from "./effect-obligations.ts";
import type { Obligation } from "./obligation.ts";
import { portObligations } from "./port-obligations.ts";
import { recordObligations } from "./record-obligations.ts";
import type { Capability, TargetHome, TargetUnderTest } from "./target-under-test.ts";
import { undoObligations } from "./undo-obligations.ts";
import { valueObligations } from "./value-obligations.ts";

/** What every target owes to the loader, whatever database it is. */

export const obligations: readonly Obligation[] = [
  ...valueObligations,
  ...recordObligations,
  ...constraintObligations,
  ...effectObligations,
  ...portObligations,
  ...undoObligations,
];

/**
 * Declares a test for every obligation. One that needs what the target lacks has to fail, and its test says what is
 * lacking: a lack that has gone unnoticed is found by it.
 */
export function describeTarget(name: string, openHome: () => Promise<TargetHome>): void {
  describe(`${name} as a target`, () => {
    let target: TargetUnderTest;
    beforeAll(async () => {
      target = drive(await openHome());
    });
    afterAll(() => target.close());

    test.each(obligations)("$name", async ({ needs = [], fulfil }) => {
      const lacking = needs.filter((need) => target.lacks[need] !== undefined);
      if (lacking.length === 0) return fulfil(target);
      await expect(fulfil(target), reasonOf(target, lacking)).rejects.toThrow();
    });

    test("names why it lacks what it lacks", () => {
      expect(Object.values(target.lacks).filter((reason) => reason.trim().length < 10)).toEqual([]);
    });
  });
}

const reasonOf = ({ lacks }: TargetUnderTest, lacking: readonly Capability[]): string =>
  `the target says that it lacks ${lacking.map((need) => `${need} (${lacks[need]})`).join(", ")}, and yet it does this`;
