import { amount, table } from "../markdown.ts";
import { processorMb, requestSeconds } from "../scale/recording.ts";
import { type ScaleResults, stages } from "../scale/results.ts";
import {
  alternatives,
  type BilledItem,
  batchesOfMillion,
  bill,
  daysOfMonth,
  idleItems,
  millionItems,
  type Price,
  type Prices,
  pricedBatch,
  totalOf,
} from "./bill.ts";

/** docs/cost.md, from the measurements and the list prices. */
export function renderCost(results: ScaleResults, prices: Prices): string {
  const million = bill(millionItems(results), prices);
  const idle = stages.map((stage) => ({ stage, items: bill(idleItems(results, stage), prices) }));
  const sections = [
    head(results, prices),
    "## A month without a load",
    ...idle.map(({ stage, items }) => `Stage \`${stage}\`: ${dollars(totalOf(items))}\n\n${itemTable(items)}`),
    "With an existing database (`databaseHost`), the lines of RDS and the interface endpoints are not ours: what is left is a few dollars. Flow logs of the VPC, backups beyond the size of the database, and what your fragments take in S3 come on top.",
    `## A million records: ${dollars(totalOf(million))}`,
    millionText(),
    itemTable(million),
    "## Beside the usual ways",
    comparison(
      idle.map(({ stage, items }) => [stage, totalOf(items)] as const),
      totalOf(million),
      prices,
    ),
    "## Prices",
    `List prices of ${prices.region} in US dollars, without free tiers and discounts, gathered on ${prices.date} from stored copies of public pages: the vendor's own where one was at hand, else a page that quotes it. **Look them up again before you rely on them**: the ones without a date of their own may be older than that, and those marked "not seen" were in no copy that was at hand.`,
    priceTable(prices),
  ];
  return `${sections.join("\n\n")}\n`;
}

function head({ facts }: ScaleResults, { date }: Prices): string {
  return `# Cost

What Table Loader costs on AWS, computed from a real run of ${facts.date} and list prices of ${date}. \`npm run scale -- --write\`
measures and writes this page; \`npm run scale -- --render\` writes it anew after a change of
\`bench/cost/prices.json\`. Nothing here was billed by AWS: the loader has not run in an account.

Measured: processor time, requests to the bucket and bytes of logs of every function, on the machine named in
[scale](scale.md#taken-with); transitions, counted in the synthesized machine; what the stacks hold, counted in the
synthesized templates. Assumed: a processor of Lambda is as fast as that machine's, a function of 512 MB has
512/${processorMb.toLocaleString("en-US")} of one, and S3 takes ${requestSeconds * 1000} ms to begin an answer. Functions are warm.`;
}

const itemTable = (items: readonly BilledItem[]): string =>
  table(
    ["what", "how much", "US dollars"],
    [
      ...items.map(({ what, quantity, usd }) => [what, amount(quantity), dollars(usd)]),
      ["**together**", "", `**${dollars(totalOf(items))}**`],
    ],
  );

function millionText(): string {
  const { fragments, recordsPerFragment } = pricedBatch;
  return `A million records of nine columns (233 MB of JSON) in ${batchesOfMillion} batches of ${fragments} fragments of ${recordsPerFragment.toLocaleString("en-US")} records, all new, with undo images. Fewer and larger batches cost less: most of it goes by the batch and by the fragment.`;
}

function comparison(idle: readonly (readonly [string, number])[], million: number, prices: Prices): string {
  const month = (still: number, each: number): string => dollars(still + each * daysOfMonth);
  const ours = idle.map(([stage, usd]) => [
    `Table Loader, stage ${stage}, its database included`,
    dollars(usd),
    dollars(million),
    month(usd, million),
    "",
  ]);
  const others = alternatives(prices).map(({ name, idle: still, million: each, assumes }) => [
    name,
    dollars(still),
    dollars(each),
    month(still, each),
    assumes,
  ]);
  return `For a million records a day. None of the others judges records, keeps undo images, or loads each version of a fragment exactly once; they need a database or a warehouse besides, which our lines include.\n\n${table(
    ["", "a month idle", "a million records", "a month of a million a day", "assumes"],
    [...ours, ...others],
  )}`;
}

const priceTable = ({ prices }: Prices): string =>
  table(["price", "for one", "US dollars", "listed at", "read at"], Object.entries(prices).map(priceRow));

function priceRow([name, { usd, unit, page, read, of, note }]: [string, Price]): string[] {
  const seen = read === null ? "not seen" : `[${new URL(read).hostname}](${read})${of === null ? "" : `, of ${of}`}`;
  return [`\`${name}\``, note ? `${unit} (${note})` : unit, String(usd), `[${new URL(page).hostname}](${page})`, seen];
}

function dollars(usd: number): string {
  return `$${usd.toLocaleString("en-US", usd !== 0 && usd < 0.1 ? { maximumSignificantDigits: 2 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}
