import postgres from "postgres";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import {
  newBatch,
  nothingLoaded,
  queueOf,
  sampleLoaded,
  stageBroken,
  stageSample,
  type TestBatch,
} from "../support/batches.ts";
import { expectNothingToHeal } from "../support/crash.ts";
import { testerName } from "../support/database.ts";
import { type Flow, openFlow } from "../support/flow.ts";
import { expectInvariants } from "../support/invariants.ts";
import { subjects } from "../support/records.ts";
import { openPooler, type Pooler, poolSize } from "./pgbouncer.ts";

/** D12: everything that the loader asks goes through a pooler, and a session serves whoever has a transaction. */

let pooler: Pooler;
let flow: Flow;
beforeAll(async () => {
  pooler = await openPooler(inject("server"));
  flow = await openFlow({ variables: { DB_HOST: "127.0.0.1", DB_PORT: String(pooler.port) } });
});
afterAll(async () => {
  await flow?.close();
  await pooler?.close();
});

function connect(database: string): postgres.Sql {
  const { user, password } = flow.database.server;
  const own = { host: "127.0.0.1", port: pooler.port, user, password, database };
  return postgres({ ...own, max: 1, prepare: false, fetch_types: false, onnotice: () => {} });
}

async function stageParts(): Promise<TestBatch> {
  const batch = newBatch(flow);
  await flow.queueRow({ batchId: batch.id, table: "subject", approved: true });
  const records = subjects(batch.prefix, 24);
  for (let part = 0; part < 8; part += 1) {
    await batch.drop(`subject/part-${part}.json`, records.slice(part * 3, part * 3 + 3));
  }
  await batch.drop("subject/_SUCCESS", "");
  return batch;
}

test("more batches at a time than there are sessions: each is loaded once", async () => {
  const batches = [];
  for (let number = 0; number < poolSize + 2; number += 1) batches.push(await stageParts());
  const runs = await Promise.all(batches.map(({ id }) => flow.run({ batchId: id })));
  const loaded = { status: "SUCCEEDED", output: { status: "success", records_read: 24, records_loaded: 24 } };
  expect(runs).toMatchObject(batches.map(() => loaded));
  for (const batch of batches) expect(await batch.probe()).toMatchObject({ subjects: 24 });
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a preview leaves no trace, and says what the load then does", async () => {
  const batch = await stageSample(flow);
  const counts = { records_read: 6, records_loaded: 6, records_failed: 0 };
  const preview = await flow.run({ batchId: batch.id, dryRun: true });
  expect(preview).toMatchObject({ status: "SUCCEEDED", output: { status: "preview", ...counts } });
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ output: { status: "success", ...counts } });
  expect(await batch.probe()).toEqual(sampleLoaded);
  await flow.arrivals();
  await expectInvariants(flow);
});

test("a batch with rejected records fails as a whole, and names them", async () => {
  const batch = await stageBroken(flow);
  expect(await flow.run({ batchId: batch.id })).toMatchObject({ status: "FAILED", error: "RECORDS_REJECTED" });
  expect(await batch.probe()).toEqual(nothingLoaded);
  expect(await queueOf(flow, batch)).toEqual({ subject: "load_failed", blood: "load_failed" });
  expect(flow.objects(`failed/${batch.id}/`)).toContain(`failed/${batch.id}/error_log.json`);
  await flow.arrivals();
  await expectNothingToHeal(flow);
  await expectInvariants(flow);
});

test("all of it took the pool's sessions, and left nothing of its own in them", async () => {
  const { name } = flow.database;
  const admin = connect("pgbouncer");
  const stats = await admin.unsafe<{ database: string; total_xact_count: string }[]>("show stats").simple();
  await admin.end();
  expect(Number(stats.find(({ database }) => database === name)?.total_xact_count)).toBeGreaterThan(50);
  const sessions = await flow.sql`
    select from pg_stat_activity where datname = ${name} and application_name <> ${testerName}`;
  expect(sessions.length).toBeGreaterThan(0);
  expect(sessions.length).toBeLessThanOrEqual(poolSize);
  const all = Array.from({ length: poolSize }, () => ({ sql: connect(name), begun: Promise.withResolvers<void>() }));
  const left = ({ sql, begun }: (typeof all)[number]) =>
    sql.begin(async (tx) => {
      await tx`select`;
      begun.resolve();
      // so that they have all sessions among them
      await Promise.all(all.map((other) => other.begun.promise));
      return tx`
        select pg_backend_pid() as pid, current_setting('lock_timeout') as lock_timeout,
               current_setting('statement_timeout') as statement_timeout,
               (select count(*) from pg_prepared_statements)::integer as prepared,
               (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())::integer as locks,
               (select count(*) from pg_class where relpersistence = 't')::integer as temporary`;
    });
  const found = (await Promise.all(all.map(left))).flat();
  await Promise.all(all.map(({ sql }) => sql.end()));
  expect(new Set(found.map(({ pid }) => pid)).size).toBe(poolSize);
  for (const { pid: _, ...rest } of found) {
    expect(rest).toEqual({ lock_timeout: "0", statement_timeout: "0", prepared: 0, locks: 0, temporary: 0 });
  }
});
