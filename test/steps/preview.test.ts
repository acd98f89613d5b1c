import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { onCrashPoint } from "../../lib/wiring.ts";
import { newBatch, sampleLoaded, stageSample } from "../support/batches.ts";
import { buryTheDead, crashAt, sweepOnce } from "../support/crash.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { bloods, specimens, subjects } from "../support/records.ts";

let flow: Flow;
beforeAll(async () => {
  flow = await openFlow();
});
afterAll(() => {
  buryTheDead();
  return flow.close();
});
afterEach(() => onCrashPoint(() => undefined));

/** Rows of every table, the ledger's and the targets', and every key but the previews'. */
async function everything(): Promise<unknown> {
  const tables = await flow.sql<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname in ('public', 'table_loader', 'table_loader_staging') order by 1`;
  const counts: Record<string, unknown> = {};
  for (const { name } of tables) {
    const [row] = await flow.sql.unsafe(
      `select count(*)::integer as n, md5(string_agg(t::text, '' order by t::text)) from ${name} t`,
    );
    counts[name] = { ...row };
  }
  return { counts, keys: flow.objects("").filter((key) => !key.startsWith("previews/")) };
}

type Counted = { tables: Record<string, Record<string, unknown>> };
const countNames = [
  "records_read",
  "records_loaded",
  "records_updated",
  "records_unchanged",
  "records_skipped",
  "records_collapsed",
  "records_failed",
];
const countsOf = ({ tables }: Counted): unknown =>
  Object.fromEntries(Object.entries(tables).map(([table, counts]) => [table, countNames.map((name) => counts[name])]));

test("I8 a preview needs no approval and no queue, leaves no trace, and predicts what the load then does", async () => {
  const batch = newBatch(flow);
  await batch.drop("subject.json", subjects(batch.prefix, 3));
  await batch.drop("specimen.json", specimens(batch.prefix, 3));
  const before = await everything();
  const first = await flow.run({ batchId: batch.id, dryRun: true });
  expect(first).toMatchObject({
    status: "SUCCEEDED",
    output: { status: "preview", records_read: 6, records_loaded: 6 },
  });
  expect(await everything()).toEqual(before);
  await flow.invoke("operate", { operation: "approve", batchId: batch.id, approvedBy: "data manager" });
  await flow.run({ batchId: batch.id });

  const next = newBatch(flow);
  const [one, two] = specimens(batch.prefix, 2);
  await next.drop(
    "specimen.json",
    [one, { ...two, quantity: 7 }, ...specimens(batch.prefix, 5).slice(3), one].map((record, index) =>
      index > 1 && index < 4 ? { ...record, global_subject_id: `${batch.prefix}-1` } : record,
    ),
  );
  await next.drop("blood.json", bloods(batch.prefix, 3));
  const unloaded = await everything();
  const { output } = await flow.run({ batchId: next.id, dryRun: true });
  expect(await everything()).toEqual(unloaded);
  const report = (await flow.json((output as { report_key: string }).report_key)) as Counted;
  expect(report).toMatchObject({
    would_be: "success",
    tables: { specimen: { updated_fields: { quantity: 1 }, update_strategy: "upsert", records_collapsed: 1 } },
  });
  await flow.invoke("operate", { operation: "approve", batchId: next.id, approvedBy: "data manager" });
  const loaded = await flow.run({ batchId: next.id });
  expect(countsOf(loaded.output as Counted)).toEqual(countsOf(report));
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a preview of a bad batch is green, names what would be rejected, and changes nothing", async () => {
  const batch = newBatch(flow);
  await batch.drop("subject.json", [
    ...subjects(batch.prefix, 2),
    { ...subjects(`${batch.prefix}x`, 1)[0], consent: "perhaps" },
  ]);
  await batch.drop("blood.json", "[{ not JSON");
  const before = await everything();
  const { status, output } = await flow.run({ batchId: batch.id, dryRun: true });
  expect({ status, output }).toMatchObject({ status: "SUCCEEDED", output: { status: "preview", records_failed: 1 } });
  const report = await flow.json((output as { report_key: string }).report_key);
  expect(report).toMatchObject({ would_be: "failed", errors: [{ code: expect.stringMatching(/^JSON_/) }] });
  expect(report).toMatchObject({ rejects: [{ code: "VALUE_TYPE", record: 3 }] });
  expect(await everything()).toEqual(before);
  for (const table of ["subject", "blood"])
    await fetch(`${flow.bucket.endpoint}/${flow.bucket.name}/${batch.key(`${table}.json`)}`, { method: "DELETE" });
  await flow.arrivals();
});

test("a preview that cannot be planned or merged says why, and does not end as success", async () => {
  const batch = newBatch(flow);
  await batch.drop("no_such_table.json", []);
  expect(await flow.run({ batchId: batch.id, dryRun: true })).toMatchObject({
    status: "FAILED",
    error: "TABLE_UNKNOWN",
  });
  expect(await flow.run({ batchId: newBatch(flow).id, dryRun: true })).toMatchObject({ error: "BATCH_EMPTY" });
  const faulty = await stageSample(flow);
  await flow.sql.unsafe(`
    create function vanish() returns trigger language plpgsql as 'begin return null; end';
    create trigger vanish before insert on blood for each row execute function vanish()`);
  const before = await everything();
  const failed = await flow.run({ batchId: faulty.id, dryRun: true });
  await flow.sql.unsafe("drop function vanish cascade");
  expect(failed).toMatchObject({ status: "FAILED", error: "BALANCE_BROKEN" });
  expect(await everything()).toEqual(before);
  const report = flow.objects(`previews/${faulty.id}/`);
  expect(await flow.json(report[0] ?? "")).toMatchObject({ would_be: "failed", errors: [{ code: "BALANCE_BROKEN" }] });
  await flow.arrivals();
  await fetch(`${flow.bucket.endpoint}/${flow.bucket.name}/${batch.key("no_such_table.json")}`, { method: "DELETE" });
  await expectInvariants(flow);
});

test("a preview runs beside a load of the same batch, and neither disturbs the other", async () => {
  const batch = await stageSample(flow);
  let previewed: unknown;
  onCrashPoint(async (point) => {
    if (point !== "before-commit" || previewed !== undefined) return;
    previewed = null;
    previewed = (await flow.run({ batchId: batch.id, dryRun: true })).output;
  });
  const loaded = await flow.run({ batchId: batch.id });
  expect(previewed).toMatchObject({ status: "preview", records_loaded: 6 });
  expect(loaded).toMatchObject({ status: "SUCCEEDED", output: { status: "success", records_loaded: 6 } });
  expect(await batch.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a preview that dies leaves its plan to the sweep, once its lease has ended", async () => {
  const batch = newBatch(flow);
  await batch.drop("subject.json", subjects(batch.prefix, 2));
  await crashAt(flow, batch, "after-copy", { input: { dryRun: true } });
  await flow.sql`update table_loader.plans set created_at = now() - interval '1 hour'`;
  expect((await sweepOnce(flow)).healed).toEqual({});
  await flow.sql`update table_loader.plans set lease_until = now() - interval '1 second'`;
  expect(await sweepOnce(flow)).toMatchObject({ healed: { ORPHANED_STAGING: 1 } });
  await flow.arrivals();
  await expectInvariants(flow);
});
