/** A cost of a step: once, for every fragment, and for every record. */
export type Line = { readonly base: number; readonly perFragment: number; readonly perRecord: number };

export type Point = { readonly fragments: number; readonly records: number; readonly value: number };

export const valueAt = ({ base, perFragment, perRecord }: Line, fragments: number, records: number): number =>
  base + perFragment * fragments + perRecord * records;

/**
 * The line that lies nearest to the points, by the least squares, among those of which no part is negative: nothing
 * becomes cheaper by having more of it. Parts that would be negative are left out, one set after the other.
 *
 * @param readsRecords false if records cannot cost anything. @default true
 */
export function fitLine(points: readonly Point[], readsRecords = true): Line {
  const allowed = subsets.filter((parts) => readsRecords || !parts.includes(perRecordPart));
  const candidates = allowed.map((parts) => solve(points, parts)).filter((line) => line !== null);
  const [best] = candidates
    .filter((line) => line.every((part) => part >= 0))
    .toSorted((a, b) => residual(points, a) - residual(points, b));
  const [base = 0, perFragment = 0, perRecord = 0] = best ?? [];
  return { base, perFragment, perRecord };
}

const perRecordPart = 2;

type Solution = readonly [number, number, number];

const subsets: readonly (readonly number[])[] = [[0, 1, 2], [0, 1], [0, 2], [1, 2], [0], [1], [2]];

const rowOf = ({ fragments, records }: Point): Solution => [1, fragments, records];

function residual(points: readonly Point[], line: Solution): number {
  return points.reduce((sum, point) => sum + (dot(rowOf(point), line) - point.value) ** 2, 0);
}

const dot = (row: Solution, line: Solution): number => row[0] * line[0] + row[1] * line[1] + row[2] * line[2];

/** The normal equations of some of the parts; null if the points do not determine them. */
function solve(points: readonly Point[], parts: readonly number[]): Solution | null {
  const matrix = parts.map((a) => [
    ...parts.map((b) => points.reduce((sum, point) => sum + at(rowOf(point), a) * at(rowOf(point), b), 0)),
    points.reduce((sum, point) => sum + at(rowOf(point), a) * point.value, 0),
  ]);
  const solved = eliminate(matrix);
  if (solved === null) return null;
  const line: [number, number, number] = [0, 0, 0];
  for (const [index, part] of parts.entries()) line[part as 0 | 1 | 2] = at(solved, index);
  return line;
}

const at = (row: readonly number[], index: number): number => row[index] ?? 0;

/** Gauss-Jordan elimination with the largest pivot; null if the matrix is singular. */
function eliminate(matrix: number[][]): number[] | null {
  const size = matrix.length;
  for (let column = 0; column < size; column += 1) {
    const pivot = matrix
      .slice(column)
      .reduce(
        (best, row, index) =>
          Math.abs(at(row, column)) > Math.abs(at(matrix[best] ?? [], column)) ? column + index : best,
        column,
      );
    [matrix[column], matrix[pivot]] = [matrix[pivot] ?? [], matrix[column] ?? []];
    const head = matrix[column] ?? [];
    if (Math.abs(at(head, column)) < 1e-12) return null;
    for (const [index, row] of matrix.entries()) {
      if (index === column) continue;
      const factor = at(row, column) / at(head, column);
      matrix[index] = row.map((value, place) => value - factor * at(head, place));
    }
  }
  return matrix.map((row, index) => at(row, size) / at(row, index));
}
