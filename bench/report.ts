import type { Judged } from "./bars.ts";
import type { Facts } from "./facts.ts";
import { table, thousands } from "./markdown.ts";
import {
  type BundleResult,
  importRatio,
  type LoadResult,
  type MemoryResult,
  median,
  type Results,
  rateOf,
  rateRatio,
  type Sample,
  type ScenarioResult,
} from "./results.ts";

/** The report as Markdown, for terminal and documents alike. */

export type Report = { readonly facts: Facts; readonly judged: readonly Judged[]; readonly results: Results };

/** Names of the series for readers. */
const programs: Readonly<Record<string, string>> = {
  ours: "Table Loader",
  audited: "Table Loader with row audit",
  first: "Table Loader, first load",
  unchanged: "Table Loader, the same again under another batch id",
  compare: "Table Loader, the same batch again",
  copy: "`psql \\copy` into the table",
  staged: "psql: `\\copy` to an unlogged table, then one upsert",
  many: "multi-row insert, 1,000 a statement (sample)",
  each: "a statement per row (sample)",
};

export function renderReport({ facts, judged, results }: Report): string {
  return [
    "## Bars",
    table(
      ["what", "bar", "measured", "verdict"],
      judged.map(({ name, bar, measured, verdict }) => [name, bar, measured, verdict]),
    ),
    ...results.scenarios.map(renderScenario),
    ...(results.memory.length > 0 ? [renderMemory(results.memory)] : []),
    ...(results.bundles.length > 0 ? [renderBundles(results.bundles)] : []),
    "## Taken with",
    table(["", ""], Object.entries(facts)),
  ].join("\n\n");
}

function renderScenario(result: ScenarioResult): string {
  const [leading] = result.series;
  const rows = result.series.map(({ name, samples }) => [
    programs[name] ?? name,
    `${(rateRatio(result, leading?.name ?? "", name) ?? Number.NaN).toFixed(2)}x`,
    thousands(median(samples.map(rateOf))),
    median(samples.map(({ seconds }) => seconds)).toFixed(2),
  ]);
  const size = `${thousands(result.records)} records, ${megabytes(result.bytes)} of JSON in ${plural(result.fragments, "object")}`;
  return [
    `## ${result.name}: ${result.title}`,
    size,
    table(["program", `${programs[leading?.name ?? ""]} against it`, "records/s", "s"], rows),
    ...result.series.flatMap(({ name, samples }) => renderPhases(name, samples)),
  ].join("\n\n");
}

/** The medians of each phase of our loads. */
function renderPhases(name: string, samples: readonly Sample[]): string[] {
  const loads = samples.flatMap(({ load }) => load ?? []);
  if (loads.length === 0) return [];
  const middle = (of: (load: LoadResult) => number, digits = 2): string => median(loads.map(of)).toFixed(digits);
  const waited = median(loads.map((load) => load.waited));
  const parts = [
    `validate ${middle(({ phases }) => phases.validate)} s`,
    `stage ${middle(({ phases }) => phases.stage)} s with ${plural(median(loads.map(({ workers }) => workers)), "worker")}${waited > 0 ? ` (${waited} s of it waiting for each other)` : ""}`,
    `commit ${middle(({ phases }) => phases.commit)} s`,
    `then archive ${middle(({ archive }) => archive)} s`,
    `peak memory ${megabytes(Math.max(...loads.map(({ workerPeak }) => workerPeak)))} of a worker, ${megabytes(Math.max(...loads.map(({ commitPeak }) => commitPeak)))} of CommitBatch`,
  ];
  return [`${programs[name] ?? name}: ${parts.join(", ")}.`];
}

function renderMemory(memory: readonly MemoryResult[]): string {
  const rows = memory.map(({ bytes, peakBytes }) => [megabytes(bytes), megabytes(peakBytes)]);
  return `## Memory of a worker\n\n${table(["object", "peak"], rows)}`;
}

function renderBundles(bundles: readonly BundleResult[]): string {
  const rows = bundles.map((bundle) => [
    bundle.handler,
    `${(bundle.bytes / 1e6).toFixed(2)} MB`,
    `${bundle.importMilliseconds.toFixed(0)} ms`,
    `${bundle.bareMilliseconds.toFixed(0)} ms`,
    `${importRatio(bundle).toFixed(2)}x`,
  ]);
  return [
    "## Bundles",
    "Processor time of a cold import, over that of an empty file, beside a handler that does nothing and holds the same clients and commands of the SDK, bundled in the same way.",
    table(["handler", "size", "cold import", "with its SDK clients alone", "ratio"], rows),
  ].join("\n\n");
}

const plural = (count: number, noun: string): string => `${thousands(count)} ${noun}${count === 1 ? "" : "s"}`;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

/** docs/performance.md */
export function renderDocument(report: Report): string {
  return `# Performance

What \`npm run bench\` measured; \`npm run bench -- --write\` writes this page anew. Every program loads the same rows into
a fresh database of the same server, taking turns, after a checkpoint and, once a scenario, a \`\\copy\` that is not
measured: the first load of a server pays for its WAL files. Records arrive in random order of their keys, the same
every time, where a scenario does not say otherwise. The local S3, the server and each function are
processes of their own. The functions are the bundles that are deployed, warm, and called as the state machine calls
them; every record is read, judged and fingerprinted, and undo images are kept. What a load takes ends with its
commit; archiving comes after it. After each turn the tables hold the same rows and checksum, or the bench fails.

Only ratios compare: seconds and rates belong to this machine and whatever else it did.

${renderReport(report)}
`;
}
