import type { Flow } from "./flow.ts";
import { bloods, subjects } from "./records.ts";

/** A batch of a test's own: its id, the prefix of its keys, and what tests do with it again and again. */
export type TestBatch = {
  readonly id: string;
  /** Begins every natural key of the batch. */
  readonly prefix: string;
  /** Where a file of the batch lies in staging. */
  key(file: string): string;
  drop(file: string, body: unknown): Promise<void>;
  /** How many of the batch's keys are stored, and the sum of a number column over them. */
  probe(): Promise<{ readonly subjects: number; readonly bloods: number; readonly volume: number }>;
};

let last = 0;

export function newBatch(flow: Flow): TestBatch {
  last += 1;
  const id = `batch_20260101_${String(last).padStart(6, "0")}`;
  const prefix = `P${last}`;
  const key = (file: string): string => `staging/validated/${id}/${file}`;
  return {
    id,
    prefix,
    key,
    drop: (file, body) => flow.put(key(file), body),
    async probe() {
      const [row] = await flow.sql<{ subjects: number; bloods: number; volume: number }[]>`
        select (select count(*) from subject where global_subject_id like ${`${prefix}-%`})::integer as subjects,
               count(*)::integer as bloods, coalesce(sum(volume_ml), 0)::float8 as volume
        from blood where sample_id like ${`${prefix}-%`}`;
      return row ?? { subjects: 0, bloods: 0, volume: 0 };
    },
  };
}

/** Subjects 1 to 3 and a blood sample of each (volumes 1, 2, 3), in the queue and in staging. */
export async function stageSample(flow: Flow, { approved = true }: { approved?: boolean } = {}): Promise<TestBatch> {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved });
  await flow.queueRow({ batchId: batch.id, table: "blood", approved });
  await batch.drop("subject.json", subjects(batch.prefix, 3));
  await batch.drop("blood.json", bloods(batch.prefix, 3));
  return batch;
}

/** A batch whose blood records are all rejected. */
export async function stageBroken(flow: Flow): Promise<TestBatch> {
  const batch = newBatch(flow);
  for (const table of ["subject", "blood"]) await flow.queueRow({ batchId: batch.id, table, approved: true });
  await batch.drop("subject.json", subjects(batch.prefix, 3));
  await batch.drop("blood.json", bloods(batch.prefix, 3, { tube_type: "bucket" }));
  return batch;
}

/** What `probe` says when the sample has taken effect once. */
export const sampleLoaded = { subjects: 3, bloods: 3, volume: 6 };
export const nothingLoaded = { subjects: 0, bloods: 0, volume: 0 };

/** As a person would, and not the loader. */
export async function removeObject({ bucket }: Flow, key: string): Promise<void> {
  await fetch(`${bucket.endpoint}/${bucket.name}/${key}`, { method: "DELETE" });
}

type Outcome = { readonly code: string; readonly source: string; readonly times: number };

export async function outcomesOf({ sql }: Flow, { id }: TestBatch): Promise<Outcome[]> {
  const rows = await sql<Outcome[]>`
    select code, source, times::integer as times from table_loader.outcomes where batch_id = ${id} order by code, source`;
  return [...rows];
}

type Ledger = {
  readonly state: string;
  readonly fence: number;
  readonly attempt: number;
  readonly reason_code: string | null;
  readonly reason: string | null;
};

export async function ledgerOf({ sql }: Flow, { id }: TestBatch): Promise<Ledger | undefined> {
  const [row] = await sql<Ledger[]>`
    select state, fence::integer as fence, attempt, reason_code, reason from table_loader.batches where batch_id = ${id}`;
  return row;
}

/** The attempts' states, by fence. */
export async function attemptsOf({ sql }: Flow, { id }: TestBatch): Promise<string[]> {
  const rows = await sql<{ state: string }[]>`
    select state from table_loader.attempts where batch_id = ${id} order by fence`;
  return rows.map(({ state }) => state);
}

/** Table names with their status in the queue. */
export async function queueOf({ sql }: Flow, { id }: TestBatch): Promise<Record<string, string>> {
  const rows = await sql<{ table: string; status: string }[]>`
    select table_name as "table", validation_status as status from validation_queue where batch_id = ${id}`;
  return Object.fromEntries(rows.map(({ table, status }) => [table, status]));
}
