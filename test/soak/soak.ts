import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { parseCount } from "../../lib/cli/options.ts";
import { longSize, type SoakSize, usualSize } from "./plan.ts";
import { toPage } from "./report.ts";
import type { SoakFigures } from "./run.ts";

/** `npm run soak`: a soak for every seed, one after the other, each in a laboratory of its own. */

type Flags = {
  readonly seed: readonly number[];
  readonly faults?: number;
  readonly batches?: number;
  readonly long?: boolean;
  readonly write?: boolean;
};

const most = 1_000_000;
const root = fileURLToPath(new URL("../../", import.meta.url));
const page = join(root, "docs/reliability.md");
/** The figures of the runs on the page. */
const record = join(root, "docs/reliability.json");

const { seed: seeds, long, write, ...counts } = readFlags();
const folder = await mkdtemp(join(tmpdir(), "table-loader-soak-"));
let failed = 0;
const runs: SoakFigures[] = [];
const size = { ...(long ? longSize : usualSize), ...counts };
for (const seed of seeds) {
  const file = join(folder, `${seed}.json`);
  const code = await runSeed({ ...size, seed }, file);
  if (code !== 0) {
    failed += 1;
    console.error(
      `seed ${seed} failed; the same again: npm run soak -- --seed ${seed} --faults ${size.faults} --batches ${size.batches}`,
    );
  }
  const text = await readFile(file, "utf8").catch(() => null);
  if (text !== null) runs.push(JSON.parse(text) as SoakFigures);
}
await rm(folder, { recursive: true, force: true });
if (write && runs.length > 0) await writePage(runs);
process.exitCode = failed === 0 ? 0 : 1;

/** A run takes the place of an earlier one with the same seed and size. */
async function writePage(fresh: readonly SoakFigures[]): Promise<void> {
  const identityOf = ({ seed, faults }: SoakFigures): string =>
    `${Object.values(faults).reduce((sum, count) => sum + count, 0)} ${seed}`;
  const text = await readFile(record, "utf8").catch(() => "[]");
  const kept = new Map((JSON.parse(text) as SoakFigures[]).map((figures) => [identityOf(figures), figures]));
  for (const figures of fresh) kept.set(identityOf(figures), figures);
  const all = [...kept.values()].toSorted((a, b) => a.batches - b.batches || a.seed - b.seed);
  await writeFile(record, `${JSON.stringify(all, null, 2)}\n`);
  await writeFile(page, toPage(all));
}

function readFlags(): Flags {
  const collect = (text: string, earlier: number[] | undefined): number[] => [
    ...(earlier ?? []),
    parseCount(text, most),
  ];
  const flags = new Command("soak")
    .description("Random kills and faults over many batches; then nothing is lost, doubled or stuck.")
    .option("--seed <number>", `repeat for several soaks (default: ${usualSize.seed})`, collect)
    .option("--faults <count>", `kills and faults (default: ${usualSize.faults})`, (text: string) =>
      parseCount(text, most),
    )
    .option("--batches <count>", `batches at least (default: ${usualSize.batches})`, (text: string) =>
      parseCount(text, most),
    )
    .option("--long", `${longSize.faults} faults over ${longSize.batches} batches`)
    .option("--write", "write the figures to docs/reliability.md, beside those of other seeds and sizes")
    .parse()
    .opts<Partial<Flags>>();
  return { ...flags, seed: flags.seed ?? [usualSize.seed] };
}

async function runSeed(wanted: SoakSize, figures: string): Promise<number> {
  const { seed, faults, batches } = wanted;
  const variables = { SOAK_SEED: seed, SOAK_FAULTS: faults, SOAK_BATCHES: batches, SOAK_FIGURES: figures };
  const env = {
    ...process.env,
    ...Object.fromEntries(Object.entries(variables).map(([name, one]) => [name, String(one)])),
  };
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [vitest, "run", "--project", "soak"], { cwd: root, env, stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}
