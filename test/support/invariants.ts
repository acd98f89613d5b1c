import { isDeepStrictEqual } from "node:util";
import type postgres from "postgres";
import { expect } from "vitest";
import { accountedFor, type LoadResult, sumCounts } from "../../lib/core/report.ts";
import { testerName } from "./database.ts";
import type { Flow } from "./flow.ts";

/**
 * The rules that hold whenever nothing runs, I1 to I7 of the cases, read from tables and bucket alone. Every query
 * answers the rows that break its rule, so that a failing test names them.
 */
export async function expectInvariants({ sql, objects, json }: Flow): Promise<void> {
  expect(await brokenRules({ sql, keys: async (prefix) => objects(prefix), json })).toEqual({});
}

/** The subject of the rules: tables and bucket, and nothing else. */
export type Evidence = {
  readonly sql: postgres.Sql;
  /** The current keys below a prefix. */
  keys(prefix: string): Promise<readonly string[]>;
  /** An object read as JSON; null if there is none. */
  json(key: string): Promise<unknown>;
};

/** The rules that do not hold, each with what breaks it. */
export async function brokenRules(evidence: Evidence): Promise<Record<string, unknown[]>> {
  const broken: Record<string, unknown[]> = {};
  for (const [rule, query] of Object.entries(rules)) {
    const rows = await evidence.sql.unsafe(query);
    if (rows.length > 0) broken[rule] = [...rows];
  }
  const inBucket = await bucketFaults(evidence);
  if (inBucket.length > 0) broken["archived means committed, committed means archived"] = inBucket;
  const inReports = await reportFaults(evidence);
  if (inReports.length > 0) broken["reports say what the ledger says"] = inReports;
  return broken;
}

const running = "('loading', 'committed', 'archived', 'failing')";

const rules: Readonly<Record<string, string>> = {
  "no staging tables are left":
    "select tablename from pg_tables where schemaname = 'table_loader_staging' and tablename ~ '^p[0-9]+_'",
  "no plans, items or rejects of plans are left": `
    select 'plan' as what, plan_id from table_loader.plans
    union all select 'item', plan_id from table_loader.work_items
    union all select 'reject', plan_id from table_loader.rejects where plan_id is not null`,
  "no transaction of the loader is open": `
    select pid, state, query from pg_stat_activity
    where datname = current_database() and application_name <> '${testerName}' and state like 'idle in transaction%'`,
  "no batch runs or is held by anybody": `
    select batch_id, state, owner, plan_id from table_loader.batches
    where state in ${running} or owner is not null or lease_until is not null or plan_id is not null`,
  "no table of a batch is loading": `
    select batch_id, table_name from table_loader.batch_tables where state = 'loading'`,
  "no attempt is left running": "select batch_id, fence from table_loader.attempts where state = 'running'",
  "loaded tables and commits are the same": `
    select coalesce(c.batch_id, t.batch_id) as batch_id, coalesce(c.table_name, t.table_name) as table_name
    from (select * from table_loader.commits where rolled_back_at is null) c
    full join (select * from table_loader.batch_tables where state = 'loaded') t using (batch_id, epoch, table_name)
    where c.batch_id is null or t.batch_id is null`,
  "loaded versions and commits are of the same tables": `
    select coalesce(c.batch_id, v.batch_id) as batch_id, coalesce(c.table_name, v.table_name) as table_name
    from table_loader.commits c
    full join (select distinct batch_id, epoch, table_name from table_loader.object_versions where state = 'loaded') v
      using (batch_id, epoch, table_name)
    where c.batch_id is null or v.batch_id is null`,
  "counts add up": `
    select batch_id, table_name, counts from table_loader.commits
    where (counts->>'records_read')::bigint <> (counts->>'records_loaded')::bigint
      + (counts->>'records_updated')::bigint + (counts->>'records_unchanged')::bigint
      + (counts->>'records_skipped')::bigint + (counts->>'records_collapsed')::bigint
      + (counts->>'records_deleted')::bigint + (counts->>'records_failed')::bigint`,
  "counts are those of the fragments": `
    select c.batch_id, c.table_name
    from table_loader.commits c
    join table_loader.object_versions v using (batch_id, epoch, table_name)
    where v.state = 'loaded'
    group by c.batch_id, c.table_name, c.counts
    having sum(v.records) <> (c.counts->>'records_read')::bigint`,
  "one row in load_audit_log says that a table was loaded": `
    select c.batch_id, c.table_name, count(l.id) as logged
    from table_loader.commits c
    left join load_audit_log l on l.batch_id = c.batch_id and l.table_name = c.table_name and l.status = 'success'
    group by c.batch_id, c.table_name having count(l.id) <> 1`,
  "undo images are as many as changed rows": `
    select c.batch_id, c.table_name, coalesce(sum(u.rows), 0) as images
    from table_loader.commits c left join table_loader.undo_images u using (batch_id, epoch, table_name)
    group by c.batch_id, c.table_name, c.counts
    having coalesce(sum(u.rows), 0) <> (c.counts->>'records_loaded')::bigint + (c.counts->>'records_updated')::bigint`,
  "the queue agrees": `
    select q.batch_id, q.table_name, q.validation_status, t.state
    from validation_queue q
    left join table_loader.batches b using (batch_id)
    left join table_loader.batch_tables t
      on t.batch_id = q.batch_id and t.table_name = q.table_name and t.epoch = b.epoch
    where q.validation_status = 'loading'
       or (coalesce(t.state = 'loaded', false)) <> (q.validation_status = 'loaded')
       or (coalesce(t.state = 'failed', false)) <> (q.validation_status = 'load_failed')
       or (q.validation_status = 'loaded') <> (q.loaded_at is not null)`,
  "a batch is what its tables are": `
    select b.batch_id, b.state, array_agg(t.state)
    from table_loader.batches b join table_loader.batch_tables t using (batch_id, epoch)
    group by b.batch_id, b.state
    having (b.state = 'loaded' and bool_or(t.state <> 'loaded')) or (b.state = 'failed') <> bool_or(t.state = 'failed')`,
};

type Version = {
  readonly batch: string;
  readonly key: string;
  readonly state: string;
  readonly archived: string | null;
};

async function bucketFaults({ sql, keys }: Evidence): Promise<object[]> {
  const versions = await sql<Version[]>`
    select batch_id as batch, key, state, archived_key as archived from table_loader.object_versions`;
  const known = new Set(versions.map(({ archived }) => archived));
  const isReport = (key: string): boolean => /\/(load_result(\.attempt-\d+)?|error_log)\.json$/.test(key);
  const stored = new Set([...(await keys("loaded/")), ...(await keys("failed/"))]);
  const unknown = [...stored].filter((key) => !isReport(key) && !known.has(key) && !key.includes("/duplicates/"));
  const settled = versions.filter(({ state }) => state === "loaded" || state === "failed");
  // what a retry has loaded since was moved on, from failed/ to loaded/, markers and all
  const reloaded = new Set(versions.filter(({ state }) => state === "loaded").map(({ batch }) => batch));
  const moved = ({ state, batch }: Version): boolean => state === "failed" && reloaded.has(batch);
  const lost = settled.filter(
    (version) => version.archived === null || (!stored.has(version.archived) && !moved(version)),
  );
  // A failed version that a retry replaced or loaded keeps its row; only the archive of what was loaded must be there.
  const misplaced = settled.filter(({ state, archived }) => state === "loaded" && !archived?.startsWith("loaded/"));
  return [...unknown.map((key) => ({ unknown: key })), ...lost, ...misplaced];
}

type Stored = { readonly key: string; readonly state: string; readonly result: string };

/** One report an attempt: as it is in the ledger, and its sums those of its tables. */
async function reportFaults({ sql, json }: Evidence): Promise<object[]> {
  const attempts = await sql<Stored[]>`
    select result->>'report_key' as key, state, result::text as result
    from table_loader.attempts where ended_at is not null and result ? 'report_key'`;
  const faults: object[] = [];
  for (const { key, result } of attempts) {
    const kept = JSON.parse(result) as LoadResult;
    const report = (await json(key)) as LoadResult | null;
    if (!isDeepStrictEqual(report, kept)) faults.push({ key, differs: "ledger and bucket" });
    const sums = sumCounts(Object.values(kept.tables));
    const total = Object.entries(sums).filter(([name, count]) => kept[name as keyof typeof sums] !== count);
    if (total.length > 0) faults.push({ key, differs: "totals and tables", total });
    if (kept.status === "success" && accountedFor(sums) !== kept.records_read) faults.push({ key, differs: "counts" });
  }
  return faults;
}
