import { stripVTControlCharacters } from "node:util";

export type Column = { readonly title: string; readonly align?: "left" | "right" };

/** Columns side by side, two spaces between them, a line below the titles. Cells may be coloured. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => widthOf(row[index] ?? ""))),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, index) => pad(cells[index] ?? "", widths[index] ?? 0, align ?? "left"))
      .join("  ")
      .trimEnd();
  const titles = columns.map(({ title }) => title);
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [line(titles), rule, ...rows.map(line)].join("\n");
}

function widthOf(cell: string): number {
  return stripVTControlCharacters(cell).length;
}

function pad(cell: string, width: number, align: "left" | "right"): string {
  const filler = " ".repeat(Math.max(0, width - widthOf(cell)));
  return align === "right" ? filler + cell : cell + filler;
}

/** 12345 -> 12,345 */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

export function formatSeconds(seconds: number): string {
  return seconds.toFixed(2);
}

/** `2026-01-01T12:00:00.123+00:00` -> `2026-01-01 12:00:00` */
export function formatTime(time: string | null): string {
  return time === null ? "" : time.slice(0, 19).replace("T", " ");
}

/** Indents every line by two spaces. */
export function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}
