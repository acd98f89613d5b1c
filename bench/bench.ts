import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { isMissed, judgeBars } from "./bars.ts";
import { psqlVersion } from "./baselines.ts";
import { measureBundles } from "./bundles.ts";
import { readFacts } from "./facts.ts";
import { type Laboratory, openLaboratory, type Workspace } from "./laboratory.ts";
import { type BenchOptions, parseOptions, UsageEnd } from "./options.ts";
import { renderProfile } from "./profile.ts";
import { runProgram } from "./program.ts";
import { type Report, renderDocument, renderReport } from "./report.ts";
import type { ScenarioResult } from "./results.ts";
import { runMemory, runScenario } from "./run.ts";

/** `npm run bench`: measures the loader beside other programs and judges it by its bars. */

const document = fileURLToPath(new URL("../docs/performance.md", import.meta.url));
const note = (text: string): void => console.error(text);

/**
 * Answers the exit code: 0, 1 if a bar was missed, 2 for flags that make no sense.
 *
 * @param args without node and script
 */
async function main(args: readonly string[], workspace: Workspace): Promise<number> {
  const options = optionsOf(args);
  if (options instanceof UsageEnd) {
    (options.exitCode === 0 ? console.log : console.error)(options.message);
    return options.exitCode;
  }
  await psqlVersion();
  const laboratory = await openLaboratory(workspace, options.nodeFlags);
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
  const memory = await runMemory(laboratory, { ...options, note });
  const bundles = options.chosen ? [] : await measureBundles(laboratory, options.runs);
  const results = { scenarios, memory, bundles };
  return { facts, results, judged: judgeBars(results, options.quick) };
}

async function write(report: Report, { json, markdown, write: toDocument }: BenchOptions): Promise<void> {
  console.log(renderReport(report));
  if (json !== null) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  if (markdown !== null) await writeFile(markdown, `${renderReport(report)}\n`);
  if (toDocument) await writeFile(document, renderDocument(report));
}

await runProgram(
  (workspace) => main(process.argv.slice(2), workspace),
  ({ name, message }) => `${name}: ${message}`,
);
