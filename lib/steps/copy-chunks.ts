import type { SliceWriter } from "../core/ports.ts";

/** A chunk is written early where its lines are long: memory is bounded whatever the number of records. */
const maxChunkCharacters = 1024 * 1024;

/** Gathers lines into chunks of at most `batchSize` records. */
export function openChunks(writer: SliceWriter, batchSize: number) {
  let lines: string[] = [];
  let characters = 0;
  const flush = async (): Promise<void> => {
    if (lines.length === 0) return;
    const chunk = lines.join("");
    lines = [];
    characters = 0;
    await writer.write(chunk);
  };
  const push = async (more: readonly string[]): Promise<void> => {
    for (const line of more) {
      lines.push(line);
      characters += line.length;
      if (lines.length >= batchSize || characters >= maxChunkCharacters) await flush();
    }
  };
  return { push, flush };
}
