import { openDatabase } from "./database.ts";
import { blood } from "./datasets.ts";
import { openDelivery } from "./delivery.ts";
import type { Laboratory } from "./laboratory.ts";
import { newBatchId, stageOnly } from "./load.ts";
import type { BenchOptions } from "./options.ts";
import { type Profile, profileLoad } from "./profile.ts";
import type { MemoryResult, Sample, ScenarioResult, Series } from "./results.ts";
import { type Scenario, type ScenarioName, scenarios } from "./scenarios.ts";
import { inDatabase, type Setting, type Trial, warmUp } from "./trials.ts";

type Noting = { readonly note: (text: string) => void };
type RunOptions = Pick<BenchOptions, "runs" | "records" | "ascending" | "profile"> & Noting;

type Ran = { readonly result: ScenarioResult; readonly profile: Profile | null };

/** Generates, measures and clears away one scenario. */
export async function runScenario(laboratory: Laboratory, name: ScenarioName, options: RunOptions): Promise<Ran> {
  const scenario: Scenario = scenarios[name];
  options.note(`${name}: ${scenario.title}`);
  const setting = await openSetting(laboratory, scenario, options);
  try {
    await warmUp(setting);
    const series = await runRounds(scenario.trials(setting), options);
    const { records, bytes, fragments } = setting.delivery;
    const result = { name, title: scenario.title, records, bytes, fragments, series };
    return { result, profile: options.profile ? await profileOnce(setting, scenario) : null };
  } finally {
    await setting.delivery.close();
    await setting.before?.close();
  }
}

/** Generates and uploads the records of the scenario. */
async function openSetting(
  laboratory: Laboratory,
  scenario: Scenario,
  { records, ascending }: RunOptions,
): Promise<Setting> {
  const { datasets, parts = 1, factor = 1 } = scenario;
  const perTable = Math.ceil(((records ?? scenario.records) * factor) / datasets.length);
  const options = { datasets, records: perTable, ascending: scenario.ascending ?? ascending };
  if (!scenario.before) return { laboratory, delivery: await openDelivery(laboratory, { ...options, parts }) };
  const before = await openDelivery(laboratory, { ...options, json: false });
  return { laboratory, before, delivery: await openDelivery(laboratory, { ...options, parts, revision: 2 }) };
}

/**
 * The programs take turns, so that other load on the machine meets all of them alike.
 *
 * @throws Error if two programs leave different rows behind: then no measurement means anything
 */
export async function runRounds(
  trials: readonly Trial[],
  { runs, note }: Pick<RunOptions, "runs" | "note">,
): Promise<Series[]> {
  const series = new Map<string, Sample[]>();
  let expected: string | null = null;
  for (let round = 1; round <= runs; round += 1) {
    for (const trial of trials) {
      const { samples, holds } = await trial.run();
      if (holds !== null && expected !== null && holds !== expected)
        throw new Error(`after ${trial.name} the tables hold ${holds}, after the others ${expected}`);
      expected ??= holds;
      for (const [name, sample] of Object.entries(samples)) {
        series.set(name, [...(series.get(name) ?? []), sample]);
        note(`  ${round}/${runs} ${name}: ${sample.seconds.toFixed(2)} s for ${sample.records} records`);
      }
    }
  }
  return [...series].map(([name, samples]) => ({ name, samples }));
}

function profileOnce(setting: Setting, { contract, again }: Scenario): Promise<Profile> {
  const { laboratory, delivery } = setting;
  return inDatabase(again ? { ...setting, before: delivery } : setting, (database) =>
    profileLoad({ laboratory, database, delivery, contract, batchId: newBatchId() }),
  );
}

const smallObject = 100_000_000;
const largeObject = 2_000_000_000;

/** Peak memory of a worker by the size of its object. */
export async function runMemory(
  laboratory: Laboratory,
  { quick, chosen, large, note }: Pick<BenchOptions, "quick" | "chosen" | "large"> & Noting,
): Promise<MemoryResult[]> {
  if (quick || (chosen && !large)) return [];
  const memory: MemoryResult[] = [];
  for (const bytes of large ? [smallObject, largeObject] : [smallObject]) {
    note(`memory: one object of ${bytes / 1e6} MB through one worker`);
    memory.push(await measureMemory(laboratory, bytes));
  }
  return memory;
}

const bytesPerRecord = 235;

/** Stages one object of about so many bytes and commits nothing: the peak is the worker's. */
async function measureMemory(laboratory: Laboratory, bytes: number): Promise<MemoryResult> {
  const records = Math.round(bytes / bytesPerRecord);
  const delivery = await openDelivery(laboratory, { datasets: [blood()], records, csv: false });
  const database = await openDatabase(laboratory.server, delivery.datasets);
  try {
    const peakBytes = await stageOnly({ laboratory, database, delivery, contract: {}, batchId: newBatchId() });
    return { bytes: delivery.bytes, peakBytes };
  } finally {
    await database.close();
    await delivery.close();
  }
}
