import { copyScript, firstRows, insertEach, insertMany, runPsql, stagedScript } from "./baselines.ts";
import { checkpoint, type Database, openDatabase } from "./database.ts";
import type { Dataset } from "./datasets.ts";
import type { Delivery } from "./delivery.ts";
import type { Laboratory } from "./laboratory.ts";
import { type Contract, loadBatch, newBatchId } from "./load.ts";
import { timed } from "./meter.ts";
import type { Sample } from "./results.ts";

/** One program's turn in a round. */
export type Trial = {
  readonly name: string;
  run(): Promise<Turn>;
};

type Turn = {
  /** One sample for each series, by its name; mostly one. */
  readonly samples: Readonly<Record<string, Sample>>;
  /** Fingerprint of the tables in the end, the same after every turn; null if only a part was loaded. */
  readonly holds: string | null;
};

export type Setting = {
  readonly laboratory: Laboratory;
  readonly delivery: Delivery;
  /** Content of the tables before. @default nothing */
  readonly before?: Delivery;
};

/** Works in a database of its own, which is filled and vacuumed before and removed afterwards. */
export async function inDatabase<T>(
  { laboratory, delivery, before }: Setting,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const database = await openDatabase(laboratory.server, delivery.datasets);
  try {
    if (before) {
      await runPsql(database, laboratory.folder, copyScript(before));
      await database.sql`vacuum analyze`;
    }
    return await work(database);
  } finally {
    await database.close();
  }
}

/**
 * A load without measurement: the first program of a run would otherwise pay for the server's first WAL segments, of
 * which there is 1 GB.
 */
export async function warmUp({ laboratory, delivery }: Setting): Promise<void> {
  await inDatabase({ laboratory, delivery }, (database) => runPsql(database, laboratory.folder, copyScript(delivery)));
  await checkpoint(laboratory.server);
}

/** A load by our handlers; `name` is the name of its series. */
export function ourTrial(name: string, setting: Setting, contract: Contract): Trial {
  const { laboratory, delivery } = setting;
  const run = (): Promise<Turn> =>
    inDatabase(setting, async (database) => {
      const load = await loadBatch({ laboratory, database, delivery, contract, batchId: newBatchId() });
      const sample = { seconds: load.seconds, records: delivery.records, load };
      return { samples: { [name]: sample }, holds: await database.fingerprint(delivery.datasets) };
    });
  return { name, run };
}

export const copyTrial = (setting: Setting): Trial => psqlTrial("copy", setting, copyScript);
export const stagedTrial = (setting: Setting): Trial => psqlTrial("staged", setting, stagedScript);

function psqlTrial(name: string, setting: Setting, scriptOf: (delivery: Delivery) => string): Trial {
  const { laboratory, delivery } = setting;
  const run = (): Promise<Turn> =>
    inDatabase(setting, async (database) => {
      await checkpoint(laboratory.server);
      const { seconds } = await timed(() => runPsql(database, laboratory.folder, scriptOf(delivery)));
      const samples = { [name]: { seconds, records: delivery.records } };
      return { samples, holds: await database.fingerprint(delivery.datasets) };
    });
  return { name, run };
}

/** Samples that are large enough for a rate, and small enough not to take minutes. */
const sampleSizes = { many: 100_000, each: 5_000 };

/** Inserts of the first rows of a delivery's first table. */
export function insertTrial(name: keyof typeof sampleSizes, setting: Setting): Trial {
  const { laboratory, delivery } = setting;
  const insert = name === "many" ? insertMany : insertEach;
  const run = (): Promise<Turn> =>
    inDatabase(setting, async (database) => {
      const dataset = delivery.datasets[0] as Dataset;
      const rows = firstRows(dataset, delivery, sampleSizes[name]);
      await checkpoint(laboratory.server);
      const { seconds } = await timed(() => insert(database.sql, dataset, rows));
      const holds = await database.fingerprint([dataset]);
      if (!holds.startsWith(`${dataset.table}: ${rows.length} rows,`))
        throw new Error(`${name}: ${rows.length} rows were inserted, the table holds ${holds}`);
      return { samples: { [name]: { seconds, records: rows.length } }, holds: null };
    });
  return { name, run };
}

/** A first load, and the same again under another batch id (`unchanged`) or under its own (`compare`). */
export function redeliveryTrial(setting: Setting, again: readonly ("unchanged" | "compare")[]): Trial {
  const { laboratory, delivery } = setting;
  const run = (): Promise<Turn> =>
    inDatabase(setting, async (database) => {
      const request = { laboratory, database, delivery, contract: {}, batchId: newBatchId() };
      const first = await loadBatch(request);
      const samples: Record<string, Sample> = {
        first: { seconds: first.seconds, records: delivery.records, load: first },
      };
      for (const name of again) {
        const load =
          name === "compare"
            ? await loadBatch({ ...request, expected: "compared" })
            : await loadBatch({ ...request, batchId: newBatchId() });
        samples[name] = { seconds: load.seconds, records: delivery.records, load };
      }
      return { samples, holds: await database.fingerprint(delivery.datasets) };
    });
  return { name: "redelivery", run };
}
