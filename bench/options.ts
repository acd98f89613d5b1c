import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { parseCount } from "../lib/cli/options.ts";
import { functionSizes } from "../lib/infra/capacity.ts";
import { nodeOptionsOf } from "../lib/infra/loader-function.ts";
import { type ScenarioName, scenarios } from "./scenarios.ts";

export type BenchOptions = {
  readonly scenarios: readonly ScenarioName[];
  readonly records: number | null;
  readonly runs: number;
  readonly ascending: boolean;
  readonly quick: boolean;
  readonly large: boolean;
  readonly profile: boolean;
  readonly nodeFlags: readonly string[];
  /** True if only the scenarios that the flag names are measured. */
  readonly chosen: boolean;
  readonly json: string | null;
  readonly markdown: string | null;
  readonly write: boolean;
};

/** Ends the bench before it begins: a wrong flag (2), or a request for help (0). */
export class UsageEnd extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The scenarios that bars are judged by. */
const usual: readonly ScenarioName[] = ["nine", "sorted", "upsert", "redelivery", "audit", "audit-upsert"];
const quickest: readonly ScenarioName[] = ["nine", "redelivery", "audit"];
const large: readonly ScenarioName[] = ["onefold", "tenfold"];
const known = Object.keys(scenarios) as ScenarioName[];
const all = known.filter((name) => !large.includes(name));
const quickRecords = 50_000;
const mostRecords = 50_000_000;
const mostRuns = 100;

/** Every function of a load has the memory of this one. */
const deployedFlags = nodeOptionsOf(functionSizes["stage-fragments"].memoryMb);

type Flags = {
  readonly scenario?: readonly ScenarioName[];
  readonly records?: number;
  readonly runs?: number;
  readonly ascending?: boolean;
  readonly quick?: boolean;
  readonly large?: boolean;
  readonly profile?: boolean;
  readonly nodeOptions: string;
  readonly json?: string;
  readonly markdown?: string;
  readonly write?: boolean;
};

/**
 * @param args without node and script
 * @throws UsageEnd
 */
export function parseOptions(args: readonly string[]): BenchOptions {
  const flags = parseFlags(args);
  const { quick = false, scenario, records } = flags;
  return {
    scenarios: [...new Set([...(scenario ?? (quick ? quickest : usual)), ...(flags.large ? large : [])])],
    chosen: scenario !== undefined,
    records: records ?? (quick ? quickRecords : null),
    runs: flags.runs ?? (quick ? 1 : 3),
    ascending: flags.ascending ?? false,
    quick,
    large: flags.large ?? false,
    profile: flags.profile ?? false,
    nodeFlags: flags.nodeOptions.split(" ").filter((flag) => flag !== ""),
    json: flags.json ?? null,
    markdown: flags.markdown ?? null,
    write: flags.write ?? false,
  };
}

function parseFlags(args: readonly string[]): Flags {
  let said = "";
  const program = createProgram()
    .exitOverride()
    .configureOutput({ writeOut: (text) => (said += text), writeErr: () => {} });
  try {
    return program.parse([...args], { from: "user" }).opts<Flags>();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) throw new UsageEnd(said.trimEnd(), 0);
    throw new UsageEnd(`${error.message.replace(/^error: /, "")}; see npm run bench -- --help`, 2);
  }
}

function createProgram(): Command {
  return new Command("npm run bench --")
    .description("Measures the loader beside other ways to load the same records, and holds it to its bars.")
    .option("--scenario <name>", `${known.join(", ")} or all; may be given again`, parseScenario)
    .option("--records <n>", "records of a load", (text: string) => parseCount(text, mostRecords))
    .option("--runs <n>", "rounds, of which the median counts (default: 3)", (text: string) =>
      parseCount(text, mostRuns),
    )
    .option("--ascending", "natural keys in order (default: in random order, but for the scenario sorted)")
    .addOption(
      new Option(
        "--quick",
        `${quickRecords} records and one round: shows that it works, too small for a verdict`,
      ).conflicts("large"),
    )
    .option("--large", "also what takes long: 2 GB through one worker, and ten times the records")
    .option("--profile", "one more load of each scenario: where our time goes")
    .option("--node-options <flags>", "flags of Node for our functions", deployedFlags)
    .option("--json <file>", "write all that was measured")
    .option("--markdown <file>", "write the report")
    .option("--write", "write the report to docs/performance.md")
    .allowExcessArguments(false);
}

function parseScenario(name: string, earlier: readonly ScenarioName[] = []): readonly ScenarioName[] {
  if (name === "all") return all;
  const found = known.find((scenario) => scenario === name);
  if (found) return [...new Set([...earlier, found])];
  throw new InvalidArgumentError(`expected one of ${known.join(", ")} or all.`);
}
