import { describe, expect, test } from "vitest";
import { type Capabilities, kinds, type RunKind } from "../../lib/core/kinds.ts";
import { runSchema } from "../../lib/core/run.ts";

const rows = Object.entries(kinds) as [RunKind, Capabilities][];
const others = (holds: (kind: Capabilities) => boolean): RunKind[] =>
  rows.filter(([, kind]) => !holds(kind)).map(([name]) => name);

describe("what each kind may do", () => {
  test("the machine's run knows these kinds and no others", () => {
    expect(rows.map(([name]) => name)).toEqual(runSchema.shape.kind.options);
  });

  test("what commits is fenced, has staged its records, archives its fragments and ends its attempt", () => {
    const isWhole = (kind: Capabilities): boolean =>
      kind.fenced && kind.stages && kind.archivesTo === "loaded" && kind.attempt === "loaded" && kind.measured;
    expect(others((kind) => !kind.commits || isWhole(kind))).toEqual([]);
  });

  test("what is not fenced leaves batch and fragments alone, ends no attempt, and nobody hears of it", () => {
    const isSilent = (kind: Capabilities): boolean =>
      !kind.commits && kind.archivesTo === null && kind.attempt === null && !kind.measured && !kind.notifies;
    expect(others((kind) => kind.fenced || isSilent(kind))).toEqual([]);
  });

  test("what stages and commits nothing says what a load would change", () => {
    expect(others((kind) => (kind.stages && !kind.commits) === (kind.report === "preview"))).toEqual([]);
  });

  test("only what commits puts its fragments where loaded ones lie", () => {
    expect(others((kind) => kind.commits || kind.archivesTo !== "loaded")).toEqual([]);
  });

  test("a result tells the kinds apart", () => {
    expect(new Set(rows.map(([, { status }]) => status)).size).toBe(rows.length);
  });
});
