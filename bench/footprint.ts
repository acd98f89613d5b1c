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

/** @param imports how often each bundle is imported; the median counts */
export async function measureBundles({ folder, bundles }: Laboratory, imports: number): Promise<BundleResult[]> {
  const empty = join(folder, "empty.mjs");
  await writeFile(empty, "export {};\n");
  const nothing = await importMilliseconds(empty, imports);
  const results: BundleResult[] = [];
  for (const { handler, file, bytes } of bundles.values())
    results.push({ handler, bytes, importMilliseconds: (await importMilliseconds(file, imports)) - nothing });
  return results;
}

async function importMilliseconds(file: string, times: number): Promise<number> {
  const measured: number[] = [];
  for (let time = 0; time < times; time += 1) {
    const child = await openChild<{ milliseconds: number }>({ file: "cold-import.ts", args: [file] });
    measured.push(child.hello.milliseconds);
    await child.close();
  }
  return median(measured);
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
