import { userInfo } from "node:os";
import { createInterface } from "node:readline/promises";
import { stripVTControlCharacters, styleText } from "node:util";
import { escapeText } from "../core/rejects.ts";

export type Style = "bold" | "dim" | "red" | "green" | "yellow";
/** Colours a text, or returns it unchanged if colours are off. */
export type Paint = (style: Style, text: string) => string;

export const plain: Paint = (_style, text) => text;

/** Everything that a command uses of its process. */
export type CliIo = {
  /** Writes the command's answer to stdout. */
  readonly out: (text: string) => void;
  /** Writes anything else to stderr. */
  readonly note: (text: string) => void;
  /** Rewrites one line of the terminal; a null line clears it. Null if there is no terminal. */
  readonly progress: ((line: string | null) => void) | null;
  /** Asks yes or no; null if there is no terminal to answer from. */
  readonly ask: ((question: string) => Promise<boolean>) | null;
  readonly paint: Paint;
  /** Folder in which the CLI was started. */
  readonly directory: string;
  /** Name of the approver if `--by` gives none. */
  readonly user: string;
  /** Ends commands that run until they are stopped. */
  readonly stop: AbortSignal;
};

/** Opens the terminal or the pipes of this process. */
export function openProcessIo(stop: AbortSignal): CliIo {
  const { stdin, stdout, stderr } = process;
  return {
    out: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    progress: stderr.isTTY ? showProgress : null,
    ask: stdin.isTTY && stderr.isTTY ? ask : null,
    // styleText heeds NO_COLOR and the terminal
    paint: (style, text) => styleText(style, text, { stream: stdout }),
    directory: process.cwd(),
    user: userInfo().username,
    stop,
  };
}

const defaultColumns = 80;

function showProgress(line: string | null): void {
  const { stderr } = process;
  const width = (stderr.columns || defaultColumns) - 1;
  stderr.write(`\r\u001b[K${(line ?? "").slice(0, width)}`);
}

async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}

/** Escapes every text in the data, names of members included: keys, values and server messages come from outside. */
export function shown<Data>(data: Data): Data {
  return showAny(data) as Data;
}

function showAny(value: unknown): unknown {
  if (typeof value === "string") return escapeText(value);
  if (Array.isArray(value)) return value.map(showAny);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [escapeText(name), showAny(member)]));
}

export type Column = { readonly title: string; readonly align?: "left" | "right" };

/** Sets columns side by side, two spaces apart, with a line below the titles. Cells may be coloured. */
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
