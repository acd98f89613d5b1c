/** Tables and numbers of the pages that the benchmarks write. */

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

export const thousands = (count: number): string => Math.round(count).toLocaleString("en-US");

/** A number with the digits that make a difference. */
export function amount(value: number): string {
  if (value === 0 || Number.isInteger(value)) return value.toLocaleString("en-US");
  return value.toLocaleString("en-US", { maximumSignificantDigits: value >= 100 ? 4 : 3 });
}
