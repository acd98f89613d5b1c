import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { functionSizes } from "../../lib/infra/capacity.ts";
import { nodeOptionsOf } from "../../lib/infra/loader-function.ts";
import { type Definition, readMachineDefinition, sharedCacheDirectory } from "../../lib/local/interpreter.ts";
import { openPostgres } from "../../lib/local/postgres.ts";
import { measureAround } from "../cost/around.ts";
import { renderCost } from "../cost/page.ts";
import { pricedBatch, readPrices } from "../cost/prices.ts";
import { countStacks } from "../cost/stack-counts.ts";
import { readFacts } from "../facts.ts";
import { type LaboratoryOptions, openLaboratory } from "../laboratory.ts";
import { brokenClaims, type Simulated } from "./claims.ts";
import { costsOf } from "./durations.ts";
import { type Bench, deployed, manyBatches, oneBatch, run, setups, standInLine } from "./experiments.ts";
import { renderScale } from "./page.ts";
import { fullSizes, quickSizes, type Recording, recordLoads } from "./record.ts";
import type { ScaleResults } from "./results.ts";

const document = (name: string): string => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
const note = (text: string): void => console.error(text);

export type Place = Pick<LaboratoryOptions, "folder" | "stack">;

/** How much is simulated. */
type Extent = {
  readonly sizes: readonly number[];
  readonly workersOf: number;
  readonly workers: readonly number[];
  readonly burst: number;
  readonly many: number;
};

const full: Extent = {
  sizes: [1, 100, 10_000, 20_000],
  workersOf: 10_000,
  workers: [1, 2, 4, 8, 20, 40],
  burst: 20,
  many: 1_000,
};
const quick: Extent = { sizes: [1, 1_000], workersOf: 300, workers: [1, 8], burst: 8, many: 12 };

const known = ["--quick", "--write", "--render", "--replay"];

/**
 * Answers the exit code: 0, 1 where a claim does not hold, 2 for flags that make no sense.
 *
 * @param args without node and script
 */
export async function main(args: readonly string[], place: Place): Promise<number> {
  const unknown = args.filter((arg) => !known.includes(arg));
  if (unknown.length > 0 || (args.includes("--quick") && args.includes("--write"))) {
    console.error(`npm run scale: got ${args.join(" ")}, expected --quick, --write, --render, --replay or none`);
    return 2;
  }
  if (args.includes("--render") || args.includes("--replay")) {
    const stored = JSON.parse(await readFile(document("scale.json"), "utf8")) as ScaleResults;
    const simulated = args.includes("--replay") ? await simulate(place, stored.recording, full) : {};
    await writeResults({ ...stored, ...simulated, stacks: countStacks() });
    return 0;
  }
  const results = await measure(place, args);
  console.log(renderScale(results));
  if (args.includes("--write")) await writeResults(results);
  const broken = brokenClaims(results.simulated);
  for (const claim of broken) console.error(`does not hold: ${claim}`);
  return broken.length === 0 ? 0 : 1;
}

/** Four digits are more than a measurement is worth. */
const rounded = (_: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;

async function writeResults(measured: ScaleResults): Promise<void> {
  const text = JSON.stringify(measured, rounded, 2);
  const results = JSON.parse(text) as ScaleResults;
  await writeFile(document("scale.json"), `${text}\n`);
  await writeFile(document("scale.md"), renderScale(results));
  await writeFile(document("cost.md"), renderCost(results, await readPrices()));
}

async function measure(place: Place, args: readonly string[]): Promise<ScaleResults> {
  const isQuick = args.includes("--quick");
  const nodeFlags = nodeOptionsOf(functionSizes["stage-fragments"].memoryMb).split(" ");
  const laboratory = await openLaboratory({ ...place, nodeFlags });
  const facts = await readFacts(laboratory, args);
  note("recording real loads");
  const sizes = isQuick ? quickSizes : fullSizes;
  const recording = await recordLoads(laboratory, { sizes, rounds: 1, note });
  const around = await measureAround(laboratory);
  const simulated = await simulate(place, recording, isQuick ? quick : full);
  return { facts, recording, around, ...simulated, stacks: countStacks() };
}

/** What comes of a recording: no machine's time is in it. */
async function simulate(
  place: Place,
  recording: Recording,
  extent: Extent,
): Promise<Pick<ScaleResults, "simulated" | "priced">> {
  const bench = await openBench(place, recording);
  const simulated = await simulateAll(bench, extent);
  return { simulated, priced: await run(bench, { ...deployed, name: "one load" }, [pricedBatch]) };
}

/** A server of its own: nothing that is simulated there is lost to anybody. */
async function openBench({ folder, stack }: Place, recording: Recording): Promise<Bench> {
  const server = await openPostgres({ dataDir: join(folder, "simulated"), parameters: { fsync: "off" } });
  stack.defer(() => server.close());
  const definition = (await readMachineDefinition(sharedCacheDirectory)) as Definition;
  return { server, definition, costs: costsOf(recording) };
}

async function simulateAll(bench: Bench, extent: Extent): Promise<Simulated> {
  const told = async <T>(text: string, work: Promise<T>): Promise<T> => {
    const result = await work;
    note(`simulated: ${text}`);
    return result;
  };
  const sizes = [];
  for (const count of extent.sizes) sizes.push(await told(`${count} fragments`, run(bench, deployed, oneBatch(count))));
  const workers = [];
  for (const maxWorkers of extent.workers) {
    const setup = { ...deployed, name: String(maxWorkers), maxWorkers };
    workers.push(await told(`${maxWorkers} workers`, run(bench, setup, oneBatch(extent.workersOf))));
  }
  const inSetups = [];
  const burst = manyBatches({ batches: extent.burst, secondsBetween: 0.1 });
  for (const setup of setups) inSetups.push(await told(setup.name, run(bench, setup, burst)));
  const hour = manyBatches({ batches: extent.many, secondsBetween: 3.6 });
  const many = await told(`${extent.many} batches`, run(bench, deployed, hour));
  const line = await told("half a day in line", standInLine(bench));
  return { sizes, workers, setups: inSetups, many, line };
}
