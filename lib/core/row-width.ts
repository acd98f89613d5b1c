import type { Column } from "./catalog.ts";

/** A row has to fit into one page of the server, with all but its long values: those are stored elsewhere. */
export const maxRowBytes = 8_160;

/** Bytes of a value, by the name of its type. */
const fixedWidths: ReadonlyMap<string, number> = new Map([
  ["bool", 1],
  ["int2", 2],
  ["int4", 4],
  ["float4", 4],
  ["date", 4],
  ["oid", 4],
  ["macaddr", 6],
  ["int8", 8],
  ["float8", 8],
  ["time", 8],
  ["timestamp", 8],
  ["timestamptz", 8],
  ["macaddr8", 8],
  ["timetz", 12],
  ["interval", 16],
  ["uuid", 16],
]);

/** What is left in the row of a value that is stored elsewhere. */
const pointerBytes = 18;
/** The row's own header, and the loader's columns in staging. */
const headerBytes = 24 + 8 + 8 + pointerBytes;

export type RowWidth = (values: readonly (string | null)[]) => number;

/**
 * How many bytes a row of these texts takes at least in staging, padding left out; null for tables that are too narrow
 * for it to matter.
 */
export function rowWidthOf(columns: readonly Column[]): RowWidth | null {
  const widths = columns.map(({ type }) => {
    if (type.element !== null || type.range !== null) return null;
    return type.enumLabels === null ? (fixedWidths.get(type.name) ?? null) : 4;
  });
  const own = headerBytes + Math.ceil(columns.length / 8);
  const most = widths.reduce<number>((sum, width) => sum + (width ?? pointerBytes), own);
  if (most <= maxRowBytes) return null;
  return (values) => {
    let sum = own;
    for (const [index, value] of values.entries()) {
      if (value !== null) sum += widths[index] ?? Math.min(value.length + 1, pointerBytes);
    }
    return sum;
  };
}
