import type { Lab } from "../faults/lab/lab.ts";
import { newBatch, type TestBatch } from "../support/batches.ts";
import { bloods, specimens, subjects } from "../support/records.ts";
import { persist } from "./faults.ts";
import type { BatchKind } from "./plan.ts";

/** The batches of a soak. All of them meet on the rows of one base batch, or on none. */

const rowsPerTable = 6;
const partRecords = 200;
const parts = 4;

type Delivery = { readonly lab: Lab; readonly batch: TestBatch; readonly number: number; readonly base: string };

const tablesOf: Readonly<Record<BatchKind, readonly string[]>> = {
  "new rows": ["subject", "blood", "specimen"],
  "changed rows": ["subject", "specimen"],
  "many parts": ["subject", "blood"],
  "broken record": ["subject", "blood"],
  "delivered twice": ["subject"],
};

const fill: Readonly<Record<BatchKind, (delivery: Delivery) => Promise<void>>> = {
  "new rows": async ({ batch }) => {
    await batch.drop("subject.json", subjects(batch.prefix, rowsPerTable));
    await batch.drop("blood.json", bloods(batch.prefix, rowsPerTable));
    await batch.drop("specimen.json", specimens(batch.prefix, rowsPerTable));
  },
  "changed rows": async ({ batch, base, number }) => {
    const source_updated_at = new Date(Date.UTC(2025, 0, 1, 0, number)).toISOString();
    await batch.drop("subject.json", subjects(base, rowsPerTable, { source_updated_at, center_code: `C${number}` }));
    await batch.drop("specimen.json", specimens(base, rowsPerTable, { quantity: number }));
  },
  "many parts": async ({ batch }) => {
    await batch.drop("subject.json", subjects(batch.prefix, parts * partRecords));
    const all = bloods(batch.prefix, parts * partRecords);
    for (let part = 0; part < parts; part += 1) {
      const records = all.slice(part * partRecords, (part + 1) * partRecords);
      await batch.drop(`blood/part-${part}.json`, records);
    }
    await batch.drop("blood/_SUCCESS", "");
  },
  "broken record": async ({ batch }) => {
    await batch.drop("subject.json", subjects(batch.prefix, rowsPerTable));
    await batch.drop("blood.json", bloods(batch.prefix, rowsPerTable, { volume_ml: "12,5" }));
  },
  "delivered twice": async ({ batch }) => {
    await batch.drop("subject.json", subjects(batch.prefix, rowsPerTable));
  },
};

/** Once, however often it is tried. */
async function enqueue({ sql }: Pick<Lab, "sql">, { id }: TestBatch, table: string): Promise<void> {
  await sql`
    insert into validation_queue (batch_id, table_name, validation_status, approved_for_load, approved_by, approved_at)
    select ${id}, ${table}, 'validated', true, 'tester', clock_timestamp()
    where not exists (select from validation_queue where batch_id = ${id} and table_name = ${table})`;
}

/** The stand-in for S3 answers now and then with an error of its own; an object that is there all the same is put once. */
function insisting({ bucket }: Lab, batch: TestBatch): TestBatch {
  const drop = async (file: string, body: unknown): Promise<void> => {
    let before: string | null = null;
    await persist(async () => {
      before ??= await newestOf(bucket, batch.key(file));
      if ((await newestOf(bucket, batch.key(file))) === before) await batch.drop(file, body);
    });
  };
  return { ...batch, drop };
}

async function newestOf(bucket: Lab["bucket"], key: string): Promise<string> {
  const versions = await bucket.versions(key);
  return versions.find(({ isLatest }) => isLatest)?.versionId ?? "none";
}

/** Puts a batch into queue and staging, approved. */
export async function deliver(
  { lab, sql }: { readonly lab: Lab; readonly sql: Lab["sql"] },
  kind: BatchKind,
  at: { number: number; base: string },
): Promise<TestBatch> {
  const batch = insisting(lab, newBatch(lab));
  for (const table of tablesOf[kind]) await persist(() => enqueue({ sql }, batch, table));
  await fill[kind]({ lab, batch, ...at });
  return batch;
}

/** The same again, as a sender does that does not know whether the first delivery arrived. */
export async function deliverAgain(lab: Lab, batch: TestBatch): Promise<void> {
  await fill["delivered twice"]({ lab, batch, number: 0, base: "" });
}
