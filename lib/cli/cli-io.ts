import { userInfo } from "node:os";
import { createInterface } from "node:readline/promises";
import { styleText } from "node:util";

export type Style = "bold" | "dim" | "red" | "green" | "yellow";
/** Colours a text, or leaves it as it is where colours are not wanted. */
export type Paint = (style: Style, text: string) => string;

export const plain: Paint = (_style, text) => text;

/** Everything a command touches of the process it runs in. */
export type CliIo = {
  /** Writes the command's answer to stdout. */
  readonly out: (text: string) => void;
  /** Writes anything else to stderr. */
  readonly note: (text: string) => void;
  /** Rewrites one line of the terminal, null clears it; null where there is no terminal. */
  readonly progress: ((line: string | null) => void) | null;
  /** Asks yes or no; null where nobody is there to answer. */
  readonly ask: ((question: string) => Promise<boolean>) | null;
  readonly paint: Paint;
  /** The folder that the CLI was started in. */
  readonly directory: string;
  /** Who approves, where `--by` does not say. */
  readonly user: string;
  /** Ends what runs until it is told to stop. */
  readonly stop: AbortSignal;
};

/** The io of this process. */
export function openProcessIo(stop: AbortSignal): CliIo {
  const { stdin, stdout, stderr } = process;
  return {
    out: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    progress: stderr.isTTY ? showProgress : null,
    ask: stdin.isTTY && stderr.isTTY ? ask : null,
    // it asks NO_COLOR and the terminal
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
