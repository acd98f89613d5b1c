import { type Database, openDatabase } from "../database.ts";
import { blood } from "../datasets.ts";
import { openDelivery } from "../delivery.ts";
import type { Laboratory } from "../laboratory.ts";
import { type RequestKind, requestKinds } from "../meter.ts";
import { type Invocation, loadBatch, newBatchId, type OurLoad } from "../ours.ts";
import { fitLine, type Turns } from "./fit.ts";
import { serverTime } from "./server-time.ts";

/** Real loads of several sizes by the deployed handlers, and what each step took of everything. */

/** The steps of a load, by the names of their handlers. */
export const phases = [
  "validate-batch",
  "stage-fragments",
  "commit-batch",
  "archive-fragments",
  "close-batch",
] as const;
export type Phase = (typeof phases)[number];

/** Of one step: lines over fragments and records. Times in seconds. */
export type Recorded = {
  /** From call to answer. */
  readonly wall: Turns;
  /** Of a processor, in the function. */
  readonly cpu: Turns;
  /** Of a processor, in the database server. */
  readonly database: Turns;
  readonly logBytes: Turns;
  readonly requests: Readonly<Record<RequestKind, Turns>>;
};
export type Recording = {
  readonly sizes: readonly Size[];
  readonly rounds: number;
  readonly phases: Readonly<Record<Phase, Recorded>>;
};

export type Size = { readonly fragments: number; readonly records: number };

/** Small enough for one worker each, so that nothing is measured of two at a time. */
export const fullSizes: readonly Size[] = [
  { fragments: 1, records: 1_000 },
  { fragments: 1, records: 30_000 },
  { fragments: 40, records: 4_000 },
  { fragments: 100, records: 1_000 },
  { fragments: 100, records: 30_000 },
];
export const quickSizes: readonly Size[] = [
  { fragments: 1, records: 500 },
  { fragments: 1, records: 10_000 },
  { fragments: 30, records: 1_000 },
];

type Sample = Size & Invocation & { readonly database: number };

export type RecordOptions = {
  readonly sizes: readonly Size[];
  readonly rounds: number;
  readonly note: (text: string) => void;
};

export async function recordLoads(laboratory: Laboratory, options: RecordOptions): Promise<Recording> {
  const { sizes, rounds, note } = options;
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const size of sizes) {
      const { samples: taken, load } = await recordLoad(laboratory, size);
      samples.push(...taken);
      note(`  ${round}/${rounds} ${size.fragments} fragments, ${size.records} records: ${load.seconds.toFixed(2)} s`);
    }
  }
  const lines = phases.map((phase) => [
    phase,
    linesOf(
      phase,
      samples.filter(({ handler }) => handler === phase),
    ),
  ]);
  return { sizes, rounds, phases: Object.fromEntries(lines) as Recording["phases"] };
}

type Loaded = { readonly samples: readonly Sample[]; readonly load: OurLoad };

async function recordLoad(laboratory: Laboratory, size: Size): Promise<Loaded> {
  const datasets = [blood()];
  const { records, fragments: parts } = size;
  const delivery = await openDelivery(laboratory, { datasets, records, parts, csv: false });
  const database = await openDatabase(laboratory.server, datasets);
  try {
    return await observeLoad(
      database,
      async (observe) => {
        const contract = { update_strategy: "insert_only" };
        const batchId = newBatchId();
        return loadBatch({ laboratory, database, delivery, contract, batchId, logLevel: "INFO", warm: true, observe });
      },
      size,
    );
  } finally {
    await database.close();
    await delivery.close();
  }
}

type Observe = (invocation: Invocation) => void;

/** The handlers are called one after the other, so that what the server does meanwhile is the called one's. */
async function observeLoad(
  { server }: Database,
  load: (observe: Observe) => Promise<OurLoad>,
  size: Size,
): Promise<Loaded> {
  const samples: Sample[] = [];
  let before = serverTime(server.pid);
  const observe: Observe = (invocation) => {
    const now = serverTime(server.pid);
    samples.push({ ...size, ...invocation, database: now - before });
    before = now;
  };
  return { load: await load(observe), samples };
}

/** The others look at objects and at the ledger, and read no record. */
const readers: readonly Phase[] = ["stage-fragments", "commit-batch"];

function linesOf(phase: Phase, samples: readonly Sample[]): Recorded {
  const line = (of: (sample: Sample) => number): Turns =>
    fitLine(
      samples.map((sample) => ({ fragments: sample.fragments, records: sample.records, value: of(sample) })),
      readers.includes(phase),
    );
  const requests = requestKinds.map((kind) => [kind, line(({ usage }) => usage.requests[kind])]);
  return {
    wall: line(({ seconds }) => seconds),
    cpu: line(({ usage }) => usage.cpu),
    database: line(({ database }) => database),
    logBytes: line(({ usage }) => usage.logBytes),
    requests: Object.fromEntries(requests) as Recorded["requests"],
  };
}
