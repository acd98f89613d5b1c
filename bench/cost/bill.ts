import { readFile } from "node:fs/promises";
import { z } from "zod";
import { metricCatalog } from "../../lib/core/metrics.ts";
import { wantedWorkers } from "../../lib/core/workers.ts";
import { functionSizes, type HandlerName } from "../../lib/infra/capacity.ts";
import { type RequestKind, requestKinds } from "../meter.ts";
import { valueAt } from "../scale/fit.ts";
import {
  durationsOf,
  type Phase,
  phases,
  processorMb,
  type Recording,
  requestSeconds,
  type Work,
  workOf,
} from "../scale/recording.ts";
import type { Batch } from "../scale/replay.ts";
import type { Around, ScaleResults, Stage } from "../scale/results.ts";

/** An entry of bench/cost/prices.json: a list price with the page it was read on. */
const price = z.strictObject({
  /** US dollars for one unit. */
  usd: z.number().nonnegative(),
  unit: z.string(),
  /** The vendor's page that lists it. */
  page: z.url(),
  /** The page where the number was read; null if no copy was at hand, so that it has to be looked up again. */
  read: z.url().nullable(),
  /** The date of the prices by that page; null if it has none. */
  of: z.string().nullable(),
  note: z.string().optional(),
});

const priceFile = z.strictObject({ region: z.string(), date: z.iso.date(), prices: z.record(z.string(), price) });

export type Price = z.infer<typeof price>;
export type Prices = z.infer<typeof priceFile>;

const file = new URL("./prices.json", import.meta.url);

/** @throws Error if a price is wrong or has no source */
export async function readPrices(): Promise<Prices> {
  return priceFile.parse(JSON.parse(await readFile(file, "utf8")));
}

/** @throws Error if the file has no such price */
export function priceOf({ prices }: Prices, name: string): number {
  const found = prices[name];
  if (found === undefined) throw new Error(`prices: ${name}, got none; add it to bench/cost/prices.json`);
  return found.usd;
}

/** An amount of a resource, and the name of its price. */
export type Item = { readonly what: string; readonly quantity: number; readonly price: string };
export type BilledItem = Item & { readonly usd: number };

export const bill = (items: readonly Item[], prices: Prices): BilledItem[] =>
  items.map((item) => ({ ...item, usd: item.quantity * priceOf(prices, item.price) }));

export const totalOf = (items: readonly BilledItem[]): number => items.reduce((sum, { usd }) => sum + usd, 0);

const hoursOfMonth = 730;
export const daysOfMonth = hoursOfMonth / 24;
const sweepsOfDay = 288;
/** Lambda polls a queue with five connections, each asking every 20 s while nothing comes. */
const pollsOfMonth = (5 * hoursOfMonth * 3600) / 20;
/** START, END and REPORT, which Lambda itself logs of an invocation. */
const platformLogBytes = 500;
/** A line of the machine's log, without data: one for each event. */
const eventLogBytes = 400;
const gigabyte = 1e9;

/** GB-seconds of a function that is at work so long. */
export const gbSeconds = (handler: HandlerName, seconds: number): number =>
  (seconds * functionSizes[handler].memoryMb) / 1024;

const paid: Readonly<Record<RequestKind, string | null>> = {
  ...{ get: "s3Get", head: "s3Get", put: "s3Put", copy: "s3Put", list: "s3Put", delete: null },
};

/** @param of how many requests of a kind */
function requestItems(of: (kind: RequestKind) => number): Item[] {
  const sum = (price: string): number =>
    requestKinds.reduce((total, kind) => total + (paid[kind] === price ? of(kind) : 0), 0);
  return [
    { what: "S3: GET, HEAD", quantity: sum("s3Get"), price: "s3Get" },
    { what: "S3: PUT, COPY, LIST", quantity: sum("s3Put"), price: "s3Put" },
  ];
}

/** CloudWatch counts a metric once for every value of its dimensions; a metric of tasks has one a function. */
const metricSeries = Object.values(metricCatalog).reduce(
  (sum, { by }) => sum + (by === "task" ? Object.keys(functionSizes).length : 1),
  0,
);

/** Items of a month without a load. */
export function idleItems({ stacks, around }: ScaleResults, stage: Stage): Item[] {
  const stack = stacks[stage];
  const sweeps = sweepsOfDay * daysOfMonth;
  return [
    { what: `RDS: ${stack.instance}`, quantity: hoursOfMonth * stack.instances, price: stack.instance },
    { what: "RDS: storage", quantity: stack.storageGb * stack.instances, price: "rdsStorageGb" },
    { what: "interface endpoints", quantity: hoursOfMonth * stack.endpoints, price: "endpointHour" },
    { what: "KMS key", quantity: stack.keys, price: "kmsKey" },
    { what: "secrets", quantity: stack.secrets, price: "secret" },
    { what: "alarms", quantity: stack.alarmMetrics, price: "alarmMetric" },
    { what: "dashboards", quantity: stack.dashboards, price: "dashboard" },
    { what: "custom metrics", quantity: metricSeries, price: "customMetric" },
    {
      what: "sweep: Lambda",
      quantity: sweeps * gbSeconds("sweep", secondsOf("sweep", around.sweep)),
      price: "lambdaGbSecond",
    },
    { what: "sweep: invocations", quantity: sweeps, price: "lambdaRequest" },
    ...requestItems((kind) => sweeps * around.sweep.requests[kind]).map((item) => ({
      ...item,
      what: `sweep, ${item.what}`,
    })),
    { what: "sweep: logs", quantity: (sweeps * (around.sweep.logBytes + platformLogBytes)) / gigabyte, price: "logGb" },
    { what: "SQS: asking whether there is anything", quantity: pollsOfMonth, price: "sqsRequest" },
  ];
}

/** Seconds of an invocation on AWS, with less of a processor and a bucket that is farther away. */
export function secondsOf(handler: HandlerName, { wall, cpu, requests }: Around): number {
  const asked = requestKinds.reduce((sum, kind) => sum + requests[kind], 0);
  return Math.max(0, wall - cpu) + (cpu * processorMb) / functionSizes[handler].memoryMb + asked * requestSeconds;
}

/** A day of the page: a million records in ten batches of ten fragments. */
export const batchesOfMillion = 10;
export const pricedBatch: Batch = {
  batchId: "batch_20260101_000000",
  ...{ fragments: 10, recordsPerFragment: 10_000, bytes: 2_330_000, approvedAt: -1, startsAt: 0 },
};

/** Items of a million records, in ten batches. */
export function millionItems(results: ScaleResults): Item[] {
  const { recording, around, priced } = results;
  const { fragments, recordsPerFragment, bytes } = pricedBatch;
  const records = fragments * recordsPerFragment;
  const workers = wantedWorkers(Array.from({ length: fragments }, () => bytes));
  const calls = (phase: Phase): number => (phase === "stage-fragments" ? workers : 1);
  const per = (of: (phase: Phase) => number): number =>
    batchesOfMillion * phases.reduce((sum, phase) => sum + of(phase), 0);
  const invocations = per(calls) + batchesOfMillion;
  const starts = batchesOfMillion * gbSeconds("start-load", secondsOf("start-load", around["start-load"]));
  const logged =
    per((phase) => calls(phase) * recording.phases[phase].logBytes.base) +
    batchesOfMillion * around["start-load"].logBytes;
  const arrivals = batchesOfMillion * (fragments + 1);
  return [
    {
      what: "Lambda: at work",
      quantity: per((phase) => gbSeconds(phase, loadSeconds(recording, phase, workers))) + starts,
      price: "lambdaGbSecond",
    },
    { what: "Lambda: invocations", quantity: invocations, price: "lambdaRequest" },
    { what: "Step Functions: transitions", quantity: batchesOfMillion * priced.transitions, price: "transition" },
    ...requestItems((kind) => per((phase) => valueAt(recording.phases[phase].requests[kind], fragments, records))),
    { what: "EventBridge: events of S3", quantity: arrivals, price: "serviceEvent" },
    // Sent, received and deleted, each by itself at worst.
    { what: "SQS: arrivals", quantity: 3 * arrivals, price: "sqsRequest" },
    {
      what: "CloudWatch: logs",
      quantity: (logged + invocations * platformLogBytes + batchesOfMillion * priced.events * eventLogBytes) / gigabyte,
      price: "logGb",
    },
    { what: "X-Ray: traces", quantity: 2 * batchesOfMillion, price: "trace" },
  ];
}

/** Billed seconds of a phase of one batch, all its workers together. */
export function loadSeconds(recording: Recording, phase: Phase, workers: number): number {
  const { fragments, recordsPerFragment } = pricedBatch;
  const durations = durationsOf(recording)[phase];
  const sum = ({ lambda, database }: Work): number => lambda + database;
  const more = phase === "stage-fragments" ? (workers - 1) * sum(durations.base) : 0;
  return sum(workOf(durations, fragments, fragments * recordsPerFragment)) + more;
}

type Alternative = {
  readonly name: string;
  /** US dollars: a month without a load, and a million records. */
  readonly idle: number;
  readonly million: number;
  readonly assumes: string;
};

/** A Glue job: its least number of workers, and the time to start them and to load a tenth of a million. */
const glue = { dpu: 2, minutes: 2 };
/** A record of nine columns has 233 bytes of JSON. */
const millionGb = 0.233;

export function alternatives(prices: Prices): Alternative[] {
  const at = (name: string): number => priceOf(prices, name);
  return [
    {
      name: "AWS Glue, a Spark job for each batch",
      idle: 0,
      million: ((batchesOfMillion * glue.dpu * glue.minutes) / 60) * at("glueDpuHour"),
      assumes: `${glue.dpu} DPU for ${glue.minutes} minutes a batch, start included; the database, its network and what keeps a batch from loading twice come on top`,
    },
    {
      name: "AWS DMS, from S3",
      idle: hoursOfMonth * at("dmsHour"),
      million: 0,
      assumes:
        "one dms.t3.medium that is always on; reads CSV and Parquet, so that something has to turn the JSON into them; the database comes on top",
    },
    {
      name: "Snowpipe",
      idle: 0,
      million: millionGb * at("snowpipeGbCredits") * at("snowflakeCredit"),
      assumes:
        "Standard edition, into Snowflake and not into PostgreSQL; the warehouse that merges and is asked comes on top: the smallest takes one credit for each hour that it runs",
    },
  ];
}
