import type { Laboratory } from "./laboratory.ts";
import { newBatchId } from "./ours.ts";
import { type Profile, profileLoad } from "./profile.ts";
import type { Sample, ScenarioResult, Series } from "./results.ts";
import { openSetting, type Scenario, type ScenarioName, scenarios } from "./scenarios.ts";
import { inDatabase, type Setting, type Trial, warmUp } from "./trials.ts";

export type RunOptions = {
  readonly runs: number;
  /** Of every scenario; null: as many as it says. */
  readonly records: number | null;
  readonly ascending: boolean;
  readonly profile: boolean;
  readonly note: (text: string) => void;
};

export type Ran = { readonly result: ScenarioResult; readonly profile: Profile | null };

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

/**
 * The programs take turns, so that whatever else the machine does meets all of them alike.
 *
 * @throws Error where two programs leave different rows behind: then nothing that was measured means anything
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
