import { type CliIo, plain } from "../../lib/cli/terminal.ts";

export type RecordedIo = CliIo & { readonly stdout: () => string; readonly stderr: () => string };

/** An io that keeps what is written. `answer` is what somebody at a terminal would say; null: nobody is there. */
export function recordIo(directory: string, answer: boolean | null = null): RecordedIo {
  const out: string[] = [];
  const notes: string[] = [];
  const ask = async (question: string): Promise<boolean> => {
    notes.push(question);
    return answer === true;
  };
  return {
    out: (text) => void out.push(text),
    note: (text) => void notes.push(text),
    progress: null,
    ask: answer === null ? null : ask,
    paint: plain,
    directory,
    user: "tester",
    stop: new AbortController().signal,
    stdout: () => out.join("\n"),
    stderr: () => notes.join("\n"),
  };
}
