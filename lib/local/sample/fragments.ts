import { gzipSync } from "node:zlib";
import type { JsonObject } from "../../core/json.ts";
import { successMarker } from "../../core/keys.ts";
import { type SampleFragment, type SampleRecords, type SampleTable, sampleTables } from "./values.ts";

type Records = readonly JsonObject[];
type Shape = { readonly extension: string; readonly write: (records: Records, now: Date) => string | Uint8Array };

const asLines = (records: Records): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");
const asArray = (records: Records): string => JSON.stringify(records);
const asRecords = (records: Records): string => JSON.stringify({ records });
const asPrinted = (records: Records): string => JSON.stringify({ records }, null, 2);
const asExport = (records: Records, now: Date): string =>
  JSON.stringify({
    metadata: { source: "sample", generated_at: now.toISOString(), record_count: records.length },
    records,
  });

/** Every shape that the readers accept stands once; `blood` is the table that comes in parts. */
const shapes: Readonly<Record<SampleTable, Shape>> = {
  subject: { extension: "json", write: asExport },
  blood: { extension: "json", write: asRecords },
  lcl: { extension: "json", write: asArray },
  specimen: { extension: "ndjson", write: asLines },
  dna: { extension: "json", write: asRecords },
  rna: { extension: "json.gz", write: (records, now) => gzipSync(asExport(records, now)) },
  serum: { extension: "jsonl.gz", write: (records) => gzipSync(asLines(records)) },
  plasma: { extension: "jsonl", write: asLines },
  stool: { extension: "json", write: asPrinted },
  tissue: { extension: "json", write: asExport },
};

function inParts(table: SampleTable, records: Records, now: Date): SampleFragment[] {
  const { extension, write } = shapes[table];
  const half = Math.ceil(records.length / 2);
  return [
    { table, fileName: `${table}/part-0001.${extension}`, body: write(records.slice(0, half), now) },
    { table, fileName: `${table}/part-0002.${extension}`, body: write(records.slice(half), now) },
    { table, fileName: `${table}/${successMarker}`, body: "" },
  ];
}

/** One fragment a table, but for `blood`: two parts, then the marker that says they are all there. */
export function toFragments(records: SampleRecords, now: Date): SampleFragment[] {
  return sampleTables.flatMap((table) => {
    if (table === "blood") return inParts(table, records[table], now);
    const { extension, write } = shapes[table];
    return [{ table, fileName: `${table}.${extension}`, body: write(records[table], now) }];
  });
}

/** Where a record (1 for the table's first) is found in the fragments: file, and number within it. */
export function placeOf(
  table: SampleTable,
  number: number,
  records: SampleRecords,
): { readonly fileName: string; readonly record: number } {
  const { extension } = shapes[table];
  if (table !== "blood") return { fileName: `${table}.${extension}`, record: number };
  const half = Math.ceil(records[table].length / 2);
  return number <= half
    ? { fileName: `${table}/part-0001.${extension}`, record: number }
    : { fileName: `${table}/part-0002.${extension}`, record: number - half };
}
