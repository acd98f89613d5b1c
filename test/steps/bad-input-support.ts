import { expect } from "vitest";
import type { ErrorLog } from "../../lib/steps/reports.ts";
import { type Flow, openFlow, type RunResult } from "../support/flow.ts";

/** A flow over two small tables, `plain` and its child, for batches that must fail and leave no trace in them. */
export async function openPlainFlow(tables: object = {}, schema = ""): Promise<Flow> {
  const key = { natural_key: ["k"] };
  const flow = await openFlow({
    contracts: JSON.stringify({ tables: { plain: key, child: key, ...tables } }),
    variables: { REQUIRE_APPROVAL: "false" },
  });
  await flow.sql.unsafe(`
    create table plain (k int primary key, n int, t text, b boolean, j jsonb, constraint n_positive check (n > 0));
    create table child (k int primary key, p int constraint child_plain references plain);
    insert into plain values (1000, 1, 'stored');
    ${schema}
  `);
  return flow;
}

const tableOf = (name: string): string => (name.split("/")[0] ?? "").replace(/\.(?:json|ndjson)(?:\.gz)?$/, "");

let batches = 0;
export const nextBatch = (): string => `batch_20260301_${String(batches++).padStart(6, "0")}`;
export const stagingKey = (batchId: string, name: string): string => `staging/validated/${batchId}/${name}`;

export type Failed = {
  readonly run: RunResult;
  readonly batchId: string;
  readonly log: ErrorLog;
  readonly result: Json;
};
export type Json = Readonly<Record<string, unknown>>;

/** Everything that the two tables hold. */
export async function contentOf({ sql }: Flow): Promise<unknown> {
  return sql`select (select json_agg(p order by p.k) from plain p) as plain, (select json_agg(c order by c.k) from child c) as child`;
}

/** Runs a batch that must fail with this code, and checks all the places where that is to be seen. */
export async function failWith(
  flow: Flow,
  code: string,
  fragments: Readonly<Record<string, unknown>>,
): Promise<Failed> {
  const batchId = nextBatch();
  const tables = [...new Set(Object.keys(fragments).map((name) => tableOf(name)))];
  for (const [name, body] of Object.entries(fragments)) await flow.put(stagingKey(batchId, name), body);
  for (const table of tables) await flow.queueRow({ batchId, table, approved: true });
  return failStaged(flow, code, batchId);
}

/** The same for a batch that lies in staging. */
export async function failStaged(flow: Flow, code: string, batchId: string): Promise<Failed> {
  const staged = flow.objects(`staging/validated/${batchId}/`);
  const before = await contentOf(flow);
  const run = await flow.run({ batchId });
  expect([run.status, run.error]).toEqual(["FAILED", code]);
  expect(await contentOf(flow)).toEqual(before);
  const queue =
    await flow.sql`select validation_status, error_summary from validation_queue where batch_id = ${batchId}`;
  expect(queue.length).toBeGreaterThan(0);
  for (const row of queue) {
    expect(row["validation_status"]).toBe("load_failed");
    expect(row["error_summary"]).toMatch(new RegExp(`^${code}: `));
  }
  const result = (await flow.json(`failed/${batchId}/load_result.json`)) as Json;
  expect(result).toMatchObject({ status: "failed", errors: [{ code }] });
  const log = (await flow.json(`failed/${batchId}/error_log.json`)) as ErrorLog;
  expect(log).toMatchObject({ batch_id: batchId, error: { code } });
  const moved = staged.map((key) => key.replace("staging/validated/", "failed/"));
  const kept = [...moved, `failed/${batchId}/error_log.json`, `failed/${batchId}/load_result.json`];
  expect(flow.objects(`failed/${batchId}/`)).toEqual(kept.sort());
  expect(flow.objects(`staging/validated/${batchId}/`)).toEqual([]);
  expect(await leftovers(flow)).toEqual([]);
  return { run, batchId, log, result };
}

/** I4: staging tables, idle transactions and locks that outlive their load. */
async function leftovers({ sql }: Flow): Promise<unknown[]> {
  return [
    ...(await sql`select tablename from pg_tables where schemaname = 'table_loader_staging'`),
    ...(await sql`select pid, query from pg_stat_activity where datname = current_database() and state like 'idle in%'`),
  ];
}
