import { mkdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { JsonObject } from "../core/json.ts";
import type { Examples } from "./guide.ts";
import { exampleBloodRecords } from "./sample/sample-records.ts";

const recordCount = 100;

/** One example of each kind of mistake that real data has. */
const mistakes: readonly JsonObject[] = [
  { volume_ml: "12,5" },
  { volume_ml: 123_456.789 },
  { volume_ml: 1.000_5 },
  { tube_type: "EDTA-K3" },
  { date_collected: "2024-02-30" },
  { received_at: "yesterday" },
  { global_subject_id: "GSID-MISSING-0001" },
  { global_subject_id: null },
  { aliquot_count: -1 },
  { colour: "red" },
];

/**
 * Writes `blood.json`, which loads; `blood-broken.json`, with ten broken records among others; and `blood-mended.json`,
 * the same records without mistakes. Answers with their paths relative to `from`.
 */
export async function writeExamples(directory: string, from: string): Promise<Examples> {
  const folder = join(directory, "examples");
  await mkdir(folder, { recursive: true });
  const all = exampleBloodRecords(2 * recordCount);
  const mended = all.slice(recordCount);
  const every = recordCount / mistakes.length;
  const broken = mended.map((record, index) =>
    index % every === every - 1 ? { ...record, ...mistakes[(index + 1) / every - 1] } : record,
  );
  const write = async (name: string, records: readonly JsonObject[]): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, `${JSON.stringify({ records }, null, 2)}\n`);
    return relative(from, file);
  };
  return {
    good: await write("blood.json", all.slice(0, recordCount)),
    broken: await write("blood-broken.json", broken),
    mended: await write("blood-mended.json", mended),
  };
}
