import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { functionSizes } from "../lib/infra/capacity.ts";
import { nodeOptionsOf } from "../lib/infra/loader-function.ts";
import type { Definition } from "../lib/local/interpreter.ts";
import { readMachineDefinition, sharedCacheDirectory } from "../lib/local/interpreter.ts";
import { openPostgres } from "../lib/local/postgres.ts";
import { pricedBatch, readPrices } from "./cost/bill.ts";
import { renderCost } from "./cost/page.ts";
import { countStacks } from "./cost/stack-counts.ts";
import { readFacts } from "./facts.ts";
import { openLaboratory, type Workspace } from "./laboratory.ts";
import { runProgram } from "./program.ts";
import { deployed, manyBatches, oneBatch, run, type Simulator, setups, standInLine } from "./scale/experiments.ts";
import { renderScale } from "./scale/page.ts";
import { fullSizes, quickSizes, recordAround, recordLoads } from "./scale/record.ts";
import { durationsOf, type Recording } from "./scale/recording.ts";
import { brokenClaims, type ScaleResults, type Simulated } from "./scale/results.ts";

/** `npm run scale`: records real loads, simulates larger ones, and writes the pages on size and cost. */

const document = (name: string): string => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
const note = (text: string): void => console.error(text);

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
 * Answers the exit code: 0, 1 if a claim does not hold, 2 for flags that make no sense.
 *
 * @param args without node and script
 */
async function main(args: readonly string[], workspace: Workspace): Promise<number> {
  const unknown = args.filter((arg) => !known.includes(arg));
  if (unknown.length > 0 || (args.includes("--quick") && args.includes("--write"))) {
    console.error(`npm run scale: got ${args.join(" ")}, expected --quick, --write, --render, --replay or none`);
    return 2;
  }
  if (args.includes("--render") || args.includes("--replay")) {
    const stored = JSON.parse(await readFile(document("scale.json"), "utf8")) as ScaleResults;
    const simulated = args.includes("--replay") ? await simulate(workspace, stored.recording, full) : {};
    await writeResults({ ...stored, ...simulated, stacks: countStacks() });
    return 0;
  }
  const results = await measure(workspace, args);
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

async function measure(workspace: Workspace, args: readonly string[]): Promise<ScaleResults> {
  const isQuick = args.includes("--quick");
  const nodeFlags = nodeOptionsOf(functionSizes["stage-fragments"].memoryMb).split(" ");
  const laboratory = await openLaboratory(workspace, nodeFlags);
  const facts = await readFacts(laboratory, args);
  note("recording real loads");
  const sizes = isQuick ? quickSizes : fullSizes;
  const recording = await recordLoads(laboratory, { sizes, rounds: 1, note });
  const around = await recordAround(laboratory);
  const simulated = await simulate(workspace, recording, isQuick ? quick : full);
  return { facts, recording, around, ...simulated, stacks: countStacks() };
}

/** Simulates by a recording: no time of this machine is in it. */
async function simulate(
  workspace: Workspace,
  recording: Recording,
  extent: Extent,
): Promise<Pick<ScaleResults, "simulated" | "priced">> {
  const simulator = await openSimulator(workspace, recording);
  const simulated = await simulateAll(simulator, extent);
  return { simulated, priced: await run(simulator, { ...deployed, name: "one load" }, [pricedBatch]) };
}

/** Opens a server of its own, which may lose everything that is simulated there. */
async function openSimulator({ folder, stack }: Workspace, recording: Recording): Promise<Simulator> {
  const server = await openPostgres({ dataDir: join(folder, "simulated"), parameters: { fsync: "off" } });
  stack.defer(() => server.close());
  const definition = (await readMachineDefinition(sharedCacheDirectory)) as Definition;
  return { server, definition, durations: durationsOf(recording) };
}

async function simulateAll(simulator: Simulator, extent: Extent): Promise<Simulated> {
  const told = async <T>(text: string, work: Promise<T>): Promise<T> => {
    const result = await work;
    note(`simulated: ${text}`);
    return result;
  };
  const sizes = [];
  for (const count of extent.sizes)
    sizes.push(await told(`${count} fragments`, run(simulator, deployed, oneBatch(count))));
  const workers = [];
  for (const maxWorkers of extent.workers) {
    const setup = { ...deployed, name: String(maxWorkers), maxWorkers };
    workers.push(await told(`${maxWorkers} workers`, run(simulator, setup, oneBatch(extent.workersOf))));
  }
  const inSetups = [];
  const burst = manyBatches({ batches: extent.burst, secondsBetween: 0.1 });
  for (const setup of setups) inSetups.push(await told(setup.name, run(simulator, setup, burst)));
  const hour = manyBatches({ batches: extent.many, secondsBetween: 3.6 });
  const many = await told(`${extent.many} batches`, run(simulator, deployed, hour));
  const line = await told("half a day in line", standInLine(simulator));
  return { sizes, workers, setups: inSetups, many, line };
}

await runProgram(
  (workspace) => main(process.argv.slice(2), workspace),
  (error) => error.stack ?? error.message,
);
