import { vi } from "vitest";

/** The lines that Powertools writes while `run` goes on, parsed; every line has to be one JSON object. */
export async function captureLines(run: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
  let text = "";
  const take = (chunk: unknown): boolean => {
    text += String(chunk);
    return true;
  };
  const spies = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, "write").mockImplementation(take));
  try {
    await run();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
