import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { stagingPrefixOf, successMarker } from "../lib/core/keys.ts";
import { csvOf, type Dataset, jsonOf } from "./datasets.ts";
import type { Laboratory } from "./laboratory.ts";

/** The same records for every program: objects for our handlers, CSV files for psql. */
export type Delivery = {
  readonly datasets: readonly Dataset[];
  /** Number for all tables. */
  readonly records: number;
  /** Size as JSON. */
  readonly bytes: number;
  readonly fragments: number;
  /** True if the keys arrive in order. */
  readonly ascending: boolean;
  /** The CSV file of a table. */
  csv(dataset: Dataset): string;
  /** Copies the fragments of a batch into staging. */
  drop(batchId: string): Promise<void>;
  close(): Promise<void>;
};

type DeliveryOptions = {
  readonly datasets: readonly Dataset[];
  /** Per table. */
  readonly records: number;
  /** Objects per table; one is `<table>.json`. @default 1 */
  readonly parts?: number;
  /** @default 1 */
  readonly revision?: number;
  /** True if the keys arrive in order. @default false */
  readonly ascending?: boolean;
  /** False if psql loads none of it. @default true */
  readonly csv?: boolean;
  /** False if only psql loads it. @default true */
  readonly json?: boolean;
};

type Fragment = { readonly key: string; readonly path: string; readonly bytes: number };

let deliveries = 0;

export async function openDelivery(laboratory: Laboratory, options: DeliveryOptions): Promise<Delivery> {
  const { bucket, folder } = laboratory;
  const { ascending = false } = options;
  deliveries += 1;
  const name = `delivery-${deliveries}`;
  const csv = ({ table }: Dataset): string => join(folder, `${name}-${table}.csv`);
  const fragments: Fragment[] = [];
  for (const dataset of options.datasets) {
    if (options.csv !== false) await writeCsv(csv(dataset), dataset, options);
    if (options.json !== false)
      fragments.push(...(await uploadFragments(laboratory, `bench/${name}/`, { dataset, options })));
  }
  return {
    datasets: options.datasets,
    records: options.records * options.datasets.length,
    bytes: fragments.reduce((sum, { bytes }) => sum + bytes, 0),
    fragments: fragments.length,
    ascending,
    csv,
    drop: async (batchId) => {
      for (const { key, path } of fragments) await bucket.copy(key, `${stagingPrefixOf(batchId)}${path}`);
      if ((options.parts ?? 1) === 1) return;
      for (const { table } of options.datasets)
        await bucket.put(`${stagingPrefixOf(batchId)}${table}/${successMarker}`, "");
    },
    close: async () => {
      await bucket.clear(`bench/${name}/`);
      await Promise.all(options.datasets.map((dataset) => rm(csv(dataset), { force: true })));
    },
  };
}

async function writeCsv(file: string, dataset: Dataset, { records, revision = 1, ascending = false }: DeliveryOptions) {
  await pipeline(Readable.from(csvOf(dataset, { records, revision, ascending })), createWriteStream(file));
}

type Uploading = { readonly dataset: Dataset; readonly options: DeliveryOptions };

async function uploadFragments(
  { bucket }: Laboratory,
  prefix: string,
  { dataset, options }: Uploading,
): Promise<Fragment[]> {
  const { records, parts = 1, revision = 1, ascending = false } = options;
  const fragments: Fragment[] = [];
  for (let part = 0; part < parts; part += 1) {
    const path = parts === 1 ? `${dataset.table}.json` : `${dataset.table}/part-${String(part).padStart(5, "0")}.json`;
    const from = Math.floor((records * part) / parts);
    const to = Math.floor((records * (part + 1)) / parts);
    const key = `${prefix}${path}`;
    fragments.push({
      key,
      path,
      bytes: await bucket.upload(key, jsonOf(dataset, { records, from, to, revision, ascending })),
    });
  }
  return fragments;
}
