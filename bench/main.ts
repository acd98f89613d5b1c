import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { isMissed, judgeBars } from "./bars.ts";
import { readFacts } from "./facts.ts";
import { measureBundles, measureMemory } from "./footprint.ts";
import { type Laboratory, type LaboratoryOptions, openLaboratory } from "./laboratory.ts";
import { type BenchOptions, parseOptions, UsageEnd } from "./options.ts";
import { psqlVersion } from "./psql.ts";
import { type Report, renderDocument, renderReport } from "./report.ts";
import { renderProfile } from "./report-profile.ts";
import type { MemoryResult, ScenarioResult } from "./results.ts";
import { runScenario } from "./run.ts";

const document = fileURLToPath(new URL("../docs/performance.md", import.meta.url));
const note = (text: string): void => console.error(text);

/** Where it may write, and who ends what it opens. */
export type Place = Pick<LaboratoryOptions, "folder" | "stack">;

/**
 * Answers the exit code: 0, 1 where a bar was missed, 2 for flags that make no sense.
 *
 * @param args without node and script
 */
export async function main(args: readonly string[], place: Place): Promise<number> {
  const options = optionsOf(args);
  if (options instanceof UsageEnd) {
    (options.exitCode === 0 ? console.log : console.error)(options.message);
    return options.exitCode;
  }
  await psqlVersion();
  const laboratory = await openLaboratory({ ...place, nodeFlags: options.nodeFlags });
  const report = await measure(laboratory, options, args);
  await write(report, options);
  return isMissed(report.judged) ? 1 : 0;
}

function optionsOf(args: readonly string[]): BenchOptions | UsageEnd {
  try {
    return parseOptions(args);
  } catch (error) {
    if (error instanceof UsageEnd) return error;
    throw error;
  }
}

async function measure(laboratory: Laboratory, options: BenchOptions, args: readonly string[]): Promise<Report> {
  const facts = await readFacts(laboratory, args);
  const scenarios: ScenarioResult[] = [];
  for (const name of options.scenarios) {
    const { result, profile } = await runScenario(laboratory, name, { ...options, note });
    scenarios.push(result);
    if (profile) note(`\n${renderProfile(profile)}\n`);
  }
  const memory = await measureObjects(laboratory, options);
  const bundles = options.chosen ? [] : await measureBundles(laboratory, options.runs);
  const results = { scenarios, memory, bundles };
  return { facts, results, judged: judgeBars(results, options.quick) };
}

const smallObject = 100_000_000;
const largeObject = 2_000_000_000;

async function measureObjects(laboratory: Laboratory, options: BenchOptions): Promise<MemoryResult[]> {
  if (options.quick || (options.chosen && !options.large)) return [];
  const sizes = options.large ? [smallObject, largeObject] : [smallObject];
  const memory: MemoryResult[] = [];
  for (const bytes of sizes) {
    note(`memory: one object of ${bytes / 1e6} MB through one worker`);
    memory.push(await measureMemory(laboratory, bytes));
  }
  return memory;
}

async function write(report: Report, { json, markdown, write: toDocument }: BenchOptions): Promise<void> {
  console.log(renderReport(report));
  if (json !== null) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  if (markdown !== null) await writeFile(markdown, `${renderReport(report)}\n`);
  if (toDocument) await writeFile(document, renderDocument(report));
}
