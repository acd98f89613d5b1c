import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { Batch } from "../scale/replay.ts";

/** bench/cost/prices.json: list prices in US dollars, each with the page it was read on and when. */

const price = z.strictObject({
  /** US dollars for one unit. */
  usd: z.number().nonnegative(),
  unit: z.string(),
  /** The vendor's page that lists it. */
  page: z.url(),
  /** Where the number was read; null where no copy of a page was at hand, and it has to be looked up again. */
  read: z.url().nullable(),
  /** When that page says its prices are of; null where it does not say. */
  of: z.string().nullable(),
  note: z.string().optional(),
});

const priceFile = z.strictObject({ region: z.string(), date: z.iso.date(), prices: z.record(z.string(), price) });

export type Price = z.infer<typeof price>;
export type Prices = z.infer<typeof priceFile>;

const file = new URL("./prices.json", import.meta.url);

/** @throws Error where a price is wrong or has no source */
export async function readPrices(): Promise<Prices> {
  return priceFile.parse(JSON.parse(await readFile(file, "utf8")));
}

/** A day of the page: a million records in ten batches of ten fragments. */
export const batchesOfMillion = 10;
export const pricedBatch: Batch = {
  batchId: "batch_20260101_000000",
  ...{ fragments: 10, recordsPerFragment: 10_000, bytes: 2_330_000, approvedAt: -1, startsAt: 0 },
};

/** @throws Error where the file has no such price */
export function priceOf({ prices }: Prices, name: string): number {
  const found = prices[name];
  if (found === undefined) throw new Error(`prices: ${name}, got none; add it to bench/cost/prices.json`);
  return found.usd;
}
