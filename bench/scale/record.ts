import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { machineArn, openMachine } from "../../lib/local/interpreter.ts";
import { openMachineEndpoint } from "../../lib/local/machine-endpoint.ts";
import { openDatabase } from "../database.ts";
import { blood } from "../datasets.ts";
import { openDelivery } from "../delivery.ts";
import type { Laboratory } from "../laboratory.ts";
import { invoke, openLambda } from "../lambda.ts";
import { type Invocation, type LoadRequest, loadBatch, newBatchId } from "../load.ts";
import { requestKinds, timed } from "../meter.ts";
import type { LoadResult } from "../results.ts";
import { fitLine, type Line } from "./fit.ts";
import { type Phase, phases, type Recorded, type Recording, type Size } from "./recording.ts";
import type { Around, AroundName } from "./results.ts";

/** Real runs of the deployed handlers on this machine, and the resources that each of them took. */

/** Small enough for one worker each, so that two never work at a time. */
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

type RecordOptions = {
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

type Loaded = { readonly samples: readonly Sample[]; readonly load: LoadResult };

async function recordLoad(laboratory: Laboratory, size: Size): Promise<Loaded> {
  const datasets = [blood()];
  const { records, fragments: parts } = size;
  const delivery = await openDelivery(laboratory, { datasets, records, parts, csv: false });
  const database = await openDatabase(laboratory.server, datasets);
  try {
    return await observeLoad(size, {
      ...{ laboratory, database, delivery, contract: { update_strategy: "insert_only" }, batchId: newBatchId() },
      ...{ logLevel: "INFO", warm: true },
    });
  } finally {
    await database.close();
    await delivery.close();
  }
}

/** The handlers are called one after the other, so that the server's time between two calls belongs to one of them. */
async function observeLoad(size: Size, request: LoadRequest): Promise<Loaded> {
  const { pid } = request.database.server;
  const samples: Sample[] = [];
  let before = serverTime(pid);
  const observe = (invocation: Invocation): void => {
    const now = serverTime(pid);
    samples.push({ ...size, ...invocation, database: now - before });
    before = now;
  };
  return { load: await loadBatch({ ...request, observe }), samples };
}

/** Only these read records; the others look at objects and at the ledger. */
const readers: readonly Phase[] = ["stage-fragments", "commit-batch"];

function linesOf(phase: Phase, samples: readonly Sample[]): Recorded {
  const line = (of: (sample: Sample) => number): Line =>
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

/** Clock ticks in a second, which every Linux has. */
const ticks = 100;

type Stat = { readonly parent: number; readonly own: number; readonly ended: number };

/**
 * Processor time of a process tree of two levels in seconds, those of its children that have ended included: a
 * PostgreSQL server is one process with a child for every session.
 */
function serverTime(pid: number): number {
  const server = readStat(pid);
  if (server === null) throw new Error(`process ${pid}: got no /proc/${pid}/stat; the server's time is read on Linux`);
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat?.parent === pid);
  return server.own + server.ended + children.reduce((sum, stat) => sum + (stat?.own ?? 0), 0);
}

/** Null if the process has ended meanwhile. */
function readStat(pid: number): Stat | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return null;
  }
}

/** `pid (name) state ppid ...`: the name may hold spaces, so the fields are counted from behind its bracket. */
export function parseStat(text: string): Stat {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const seconds = (index: number): number => Number(fields[index]) / ticks;
  return { parent: Number(fields[1]), own: seconds(11) + seconds(12), ended: seconds(13) + seconds(14) };
}

/** One invocation each of the functions outside the machine, warm: an empty sweep, and an arrival that starts a load. */
export async function recordAround(laboratory: Laboratory): Promise<Record<AroundName, Around>> {
  await using stack = new AsyncDisposableStack();
  const database = await openDatabase(laboratory.server, [blood()]);
  stack.defer(() => database.close());
  // Everything that start-load starts ends at once.
  const idle = { StartAt: "End", States: { End: { Type: "Succeed" } } };
  const machine = openMachine({ definition: idle, functions: {} });
  stack.defer(() => machine.close());
  const endpoint = await openMachineEndpoint(machine);
  stack.defer(() => endpoint.close());
  const variables = {
    ...database.variables,
    LOG_LEVEL: "INFO",
    LOCAL_MACHINE_ENDPOINT: endpoint.url,
    STATE_MACHINE_ARN: machineArn("us-east-1"),
    DEAD_LETTER_QUEUE_URL: `${laboratory.bucket.endpoint}/000000000000/dead`,
  };
  const arrival = JSON.parse(
    await readFile(new URL("../../events/start-load.json", import.meta.url), "utf8"),
  ) as object;
  return {
    sweep: await recordWarm(laboratory, "sweep", { variables, event: {} }),
    "start-load": await recordWarm(laboratory, "start-load", { variables, event: arrival }),
  };
}

type Invoking = { readonly variables: Readonly<Record<string, string>>; readonly event: object };

async function recordWarm(laboratory: Laboratory, name: AroundName, { variables, event }: Invoking): Promise<Around> {
  const lambda = await openLambda(laboratory, name, { variables });
  try {
    await lambda.ask(event);
    const { seconds, result } = await timed(() => invoke(lambda, event));
    return { wall: seconds, ...result.usage };
  } finally {
    await lambda.close();
  }
}
