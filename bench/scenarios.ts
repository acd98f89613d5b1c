import { blood, type Dataset, narrow, wide } from "./datasets.ts";
import type { Contract } from "./load.ts";
import { copyTrial, insertTrial, ourTrial, redeliveryTrial, type Setting, stagedTrial, type Trial } from "./trials.ts";

/** The records of a comparison, and the programs that take turns with them. */
export type Scenario = {
  readonly title: string;
  /** Number for all tables together, unless the flag says otherwise. */
  readonly records: number;
  /** Multiplies the records. @default 1 */
  readonly factor?: number;
  readonly datasets: readonly Dataset[];
  /** True if the keys always arrive in order. @default - as the flag says */
  readonly ascending?: true;
  /** Objects per table. @default 1 */
  readonly parts?: number;
  /** Content of the tables before; the second revision follows it. @default nothing, and the first one follows */
  readonly before?: "the first revision";
  /** Contract of the load with --profile. */
  readonly contract: Contract;
  /** True if that load finds its own rows in the table. @default false */
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
