import { blood, type Dataset, narrow, wide } from "./datasets.ts";
import { openDelivery } from "./delivery.ts";
import type { Laboratory } from "./laboratory.ts";
import type { Contract } from "./ours.ts";
import { copyTrial, insertTrial, ourTrial, redeliveryTrial, type Setting, stagedTrial, type Trial } from "./trials.ts";

/** What is loaded, and which programs take turns with it. */
export type Scenario = {
  readonly title: string;
  /** Of all tables together, unless the flag says otherwise. */
  readonly records: number;
  /** By which that is multiplied. @default 1 */
  readonly factor?: number;
  readonly datasets: readonly Dataset[];
  /** True where the keys always arrive in order. @default - as the flag says */
  readonly ascending?: true;
  /** Objects per table. @default 1 */
  readonly parts?: number;
  /** What is in the tables before, and which revision comes then. @default nothing, and the first one */
  readonly before?: "the first revision";
  /** Of the load that --profile looks into. */
  readonly contract: Contract;
  /** True where that load finds its own rows in the table. @default false */
  readonly again?: boolean;
  readonly trials: (setting: Setting) => readonly Trial[];
};

const insertOnly: Contract = { update_strategy: "insert_only" };
const upsert: Contract = { update_strategy: "upsert", conflict_resolution: "merge" };
const million = 1_000_000;
const ours = (setting: Setting, contract: Contract): Trial => ourTrial("ours", setting, contract);

const insertsOf = (setting: Setting): Trial[] => [ours(setting, insertOnly), copyTrial(setting), stagedTrial(setting)];

export const scenarios = {
  nine: {
    title: "insert-only load of nine columns",
    records: million,
    datasets: [blood()],
    contract: insertOnly,
    trials: (setting) => [...insertsOf(setting), insertTrial("many", setting), insertTrial("each", setting)],
  },
  sorted: {
    title: "insert-only load of nine columns, keys in order",
    records: million,
    datasets: [blood()],
    ascending: true,
    contract: insertOnly,
    trials: insertsOf,
  },
  narrow: {
    title: "insert-only load of three columns with a composite key",
    records: million,
    datasets: [narrow],
    contract: insertOnly,
    trials: insertsOf,
  },
  wide: {
    title: "insert-only load of sixty mixed columns",
    records: 200_000,
    datasets: [wide],
    contract: insertOnly,
    trials: insertsOf,
  },
  upsert: {
    title: "upsert of which every second record is changed",
    records: million,
    datasets: [blood()],
    before: "the first revision",
    contract: upsert,
    trials: (setting) => [ours(setting, upsert), stagedTrial(setting)],
  },
  redelivery: {
    title: "the same records again, under another batch id and under their own",
    records: million,
    datasets: [blood()],
    contract: upsert,
    again: true,
    trials: (setting) => [redeliveryTrial(setting, ["unchanged", "compare"])],
  },
  compare: {
    title: "the same batch again, under its own id only",
    records: million,
    datasets: [blood()],
    contract: upsert,
    trials: (setting) => [redeliveryTrial(setting, ["compare"])],
  },
  audit: {
    title: "insert-only load with and without row audit",
    records: million,
    datasets: [blood()],
    contract: { ...insertOnly, audit_changes: true },
    trials: (setting) => [
      ours(setting, insertOnly),
      ourTrial("audited", setting, { ...insertOnly, audit_changes: true }),
    ],
  },
  "audit-upsert": {
    title: "upsert of which every second record is changed, with and without row audit",
    records: million,
    datasets: [blood()],
    before: "the first revision",
    contract: { ...upsert, audit_changes: true },
    trials: (setting) => [ours(setting, upsert), ourTrial("audited", setting, { ...upsert, audit_changes: true })],
  },
  fragments: {
    title: "insert-only load of a thousand small fragments",
    records: 200_000,
    datasets: [blood()],
    parts: 1_000,
    contract: insertOnly,
    trials: insertsOf,
  },
  tables: {
    title: "insert-only load of ten tables in one batch",
    records: million,
    datasets: Array.from({ length: 10 }, (_, index) => blood(`sample_${index + 1}`)),
    contract: insertOnly,
    trials: insertsOf,
  },
  onefold: {
    title: "insert-only load of two objects",
    records: million,
    datasets: [blood()],
    // The local S3 reads an object as one piece of at most 2 GiB.
    parts: 2,
    contract: insertOnly,
    trials: (setting) => [ours(setting, insertOnly), copyTrial(setting)],
  },
  tenfold: {
    title: "ten times as much in two objects",
    records: million,
    factor: 10,
    datasets: [blood()],
    parts: 2,
    contract: insertOnly,
    trials: (setting) => [ours(setting, insertOnly), copyTrial(setting)],
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof scenarios;

export type OpenOptions = { readonly records: number | null; readonly ascending: boolean };

/** Generates and uploads what the scenario loads. */
export async function openSetting(
  laboratory: Laboratory,
  scenario: Scenario,
  { records, ascending }: OpenOptions,
): Promise<Setting> {
  const { datasets, parts = 1, factor = 1 } = scenario;
  const perTable = Math.ceil(((records ?? scenario.records) * factor) / datasets.length);
  const options = { datasets, records: perTable, ascending: scenario.ascending ?? ascending };
  if (!scenario.before) return { laboratory, delivery: await openDelivery(laboratory, { ...options, parts }) };
  const before = await openDelivery(laboratory, { ...options, json: false });
  return { laboratory, before, delivery: await openDelivery(laboratory, { ...options, parts, revision: 2 }) };
}
