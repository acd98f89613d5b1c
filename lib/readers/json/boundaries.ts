import type { Place } from "../object-faults.ts";
import { bytesBetween, type Cursor, placeWithin } from "./cursor.ts";

/** Some whole records in the window. Starts and ends are relative to the first byte. */
export type Boundaries = {
  readonly from: Place;
  /** They stand on lines, without commas between them. */
  readonly areLines: boolean;
  /** Records of the fragment before them. */
  readonly before: number;
  readonly starts: number[];
  readonly ends: number[];
  /** How many members the objects of each record have as they are written. */
  readonly members: number[];
  /** Indexes of the records with numbers that `JSON.parse` would not give back. */
  readonly exact: number[];
  /** Where these numbers stand in the fragment: start, end, start, end, ... */
  readonly numbers: readonly number[];
  /** The line in which the last one ends, and where that line begins. */
  line: number;
  lineStart: number;
};

/** Records of a group that stand side by side: from one index to before another. */
export type Run = { readonly from: number; readonly to: number };

export function boundariesOf(cursor: Cursor, found: Boundaries, run: Run): Boundaries {
  return boundariesOfAll(cursor, found, [run])[0] as Boundaries;
}

/** The same for runs in their order: lines are counted from one to the next, so that many of them cost no more than one. */
export function boundariesOfAll(cursor: Cursor, found: Boundaries, runs: readonly Run[]): Boundaries[] {
  const { offset } = found.from;
  let place = found.from;
  const goTo = (to: number): Place => {
    place = placeWithin(place, bytesBetween(cursor, place.offset, to), to - place.offset);
    return place;
  };
  return runs.map(({ from, to }) => {
    if (from === 0 && to === found.ends.length) return found;
    const start = found.starts[from] ?? 0;
    const end = found.ends[to - 1] ?? start;
    const relative = (places: readonly number[]): number[] => places.slice(from, to).map((at) => at - start);
    return {
      ...found,
      from: goTo(offset + start),
      before: found.before + from,
      starts: relative(found.starts),
      ends: relative(found.ends),
      members: found.members.slice(from, to),
      exact: between(found.exact, from, to).map((index) => index - from),
      numbers: between(found.numbers, offset + start, offset + end + 1),
      ...lineAt(goTo(offset + end)),
    };
  });
}

function lineAt({ offset, line, column }: Place): Pick<Boundaries, "line" | "lineStart"> {
  return { line, lineStart: offset - column + 1 };
}

/** Those of sorted numbers from one bound to before the other. */
function between(sorted: readonly number[], from: number, to: number): number[] {
  return sorted.slice(countBelow(sorted, from), countBelow(sorted, to));
}

function countBelow(sorted: readonly number[], bound: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
