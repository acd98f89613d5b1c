import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openChild } from "./child.ts";
import { openDatabase } from "./database.ts";
import { blood } from "./datasets.ts";
import { openDelivery } from "./delivery.ts";
import type { Laboratory } from "./laboratory.ts";
import { newBatchId, stageOnly } from "./ours.ts";
import { type BundleResult, type MemoryResult, median } from "./results.ts";

/** What the functions weigh: bytes to upload, time to import, memory to run. */

/** Of fewer imports the median is a matter of luck, and bars stand on it. */
const leastImports = 3;

/** @param rounds how often each file is imported, but at least three times; the median counts */
export async function measureBundles({ folder, bundles }: Laboratory, rounds: number): Promise<BundleResult[]> {
  const imports = Math.max(rounds, leastImports);
  const empty = join(folder, "empty.mjs");
  await writeFile(empty, "export {};\n");
  const nothing = (await importTimes([empty], imports))[0] ?? 0;
  const results: BundleResult[] = [];
  for (const { handler, file, bytes, bare } of bundles.values()) {
    const [own = 0, other = 0] = await importTimes([file, bare], imports);
    results.push({ handler, bytes, importMilliseconds: own - nothing, bareMilliseconds: other - nothing });
  }
  return results;
}

/** The median time of each file; they take turns, so that what else the machine does meets all alike. */
async function importTimes(files: readonly string[], rounds: number): Promise<number[]> {
  const measured = files.map((): number[] => []);
  for (let round = 0; round < rounds; round += 1)
    for (const [index, file] of files.entries()) measured[index]?.push(await importMilliseconds(file));
  return measured.map(median);
}

async function importMilliseconds(file: string): Promise<number> {
  const child = await openChild<{ milliseconds: number }>({ file: "cold-import.ts", args: [file] });
  await child.close();
  return child.hello.milliseconds;
}

const bytesPerRecord = 235;

/** Stages one object of about so many bytes, and commits nothing: memory is the worker's matter. */
export async function measureMemory(laboratory: Laboratory, bytes: number): Promise<MemoryResult> {
  const records = Math.round(bytes / bytesPerRecord);
  const delivery = await openDelivery(laboratory, { datasets: [blood()], records, csv: false });
  const database = await openDatabase(laboratory.server, delivery.datasets);
  try {
    const { peakBytes } = await stageOnly({ laboratory, database, delivery, contract: {}, batchId: newBatchId() });
    return { bytes: delivery.bytes, peakBytes };
  } finally {
    await database.close();
    await delivery.close();
  }
}
