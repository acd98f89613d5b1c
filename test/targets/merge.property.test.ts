import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Catalog } from "../../lib/core/catalog.ts";
import { parseContracts } from "../../lib/core/contract.ts";
import type { JsonObject } from "../../lib/core/json.ts";
import { planTables } from "../../lib/core/plan.ts";
import type { Plan, TableOutcome, WorkItem } from "../../lib/core/ports.ts";
import type { Run } from "../../lib/core/run.ts";
import { transformOf } from "../../lib/core/transform.ts";
import { openSql } from "../../lib/ledger/connection.ts";
import type { Tx } from "../../lib/ledger/transaction.ts";
import { openCatalog } from "../../lib/targets/postgres/catalog.ts";
import { judgeTables } from "../../lib/targets/postgres/judge.ts";
import { createStaging } from "../../lib/targets/postgres/staging.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { defaultText, type FieldName, forbidden, predict, type Rules, type SourceRow, type Stored } from "./oracle.ts";

/** Random rows, batches and rules: judge and merge agree with the naive oracle, and the preview with both. */

let database: TestDatabase;
let sql: ReturnType<typeof openSql>;
let catalog: Catalog;
beforeAll(async () => {
  database = await openTestDatabase();
  const { host, port, user, password } = database.server;
  sql = openSql({ host, port, user, database: database.name, password: () => password, tls: null });
  await database.sql.unsafe(`
    create table prop (
      k text primary key, n int check (n <> ${forbidden}), t text default '${defaultText}', at timestamptz,
      created_at timestamptz default now(), updated_at timestamptz default now()
    )
  `);
  catalog = await openCatalog(sql, "public").read(["prop"]);
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  await database.close();
});

const keys = ["a", "b", "c", "d", "e", "f"];
const instant = (hour: number): string => `2026-01-01T${String(hour).padStart(2, "0")}:00:00Z`;
const number = fc.option(fc.integer({ min: 0, max: 2 }));
const text = fc.option(fc.constantFrom("x", "y", ""));
const hour = fc.option(fc.integer({ min: 0, max: 3 }));

const storedRow = fc.record({ k: fc.constantFrom(...keys), n: number, t: text, at: hour });
const storedRows = fc.uniqueArray(storedRow, { selector: ({ k }) => k, maxLength: 4 });
const sourceRow: fc.Arbitrary<SourceRow> = fc.record(
  {
    k: fc.oneof({ weight: 40, arbitrary: fc.constantFrom(...keys) }, { weight: 1, arbitrary: fc.constant(null) }),
    n: fc.oneof({ weight: 12, arbitrary: number }, { weight: 1, arbitrary: fc.constant(forbidden) }),
    t: text,
    at: hour,
  },
  { requiredKeys: ["k"] },
);
const rules: fc.Arbitrary<Rules> = fc.record({
  update_strategy: fc.constantFrom("upsert", "upsert", "insert_only", "update_only"),
  conflict_resolution: fc.constantFrom("merge", "replace", "skip", "newest"),
  immutable_fields: fc.subarray<FieldName>(["n", "t"]),
});
/** Rows, and some of them a second time. */
const batches = fc
  .tuple(fc.array(sourceRow, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 2 }))
  .map(([rows, repeated]) => [...rows, ...repeated.flatMap((place) => rows[place % rows.length] ?? [])]);

type Case = { readonly stored: readonly Stored[]; readonly rows: readonly SourceRow[]; readonly rules: Rules };

test("tables, counts and previews equal those of the oracle", async () => {
  await fc.assert(
    fc.asyncProperty(storedRows, batches, rules, async (stored, rows, chosen) => {
      const actual = await runCase({ stored, rows, rules: chosen });
      const { rows: expected, ...fates } = predict(stored, rows, chosen);
      expect(actual.rows).toEqual(expected);
      expect(factsOf(actual.outcome)).toEqual({ ...fates, changedFields: {} });
      expect(factsOf(actual.preview)).toEqual(fates);
    }),
    { seed: 20260101, numRuns: 200 },
  );
});

function factsOf({ counts, changedFields, immutableAttempts }: TableOutcome) {
  const { records_read: read, ...rest } = counts;
  const named = Object.entries(rest).map(([name, count]): [string, number] => [name.replace("records_", ""), count]);
  return {
    counts: { read, ...Object.fromEntries(named.filter(([, count]) => count > 0)) },
    changedFields,
    immutableAttempts,
  };
}

type Ran = { readonly rows: readonly Stored[]; readonly outcome: TableOutcome; readonly preview: TableOutcome };

/** One case in one transaction that is rolled back. */
async function runCase({ stored, rows, rules: chosen }: Case): Promise<Ran> {
  const tx = await sql.reserve();
  await tx`begin`;
  try {
    await tx`insert into prop (k, n, t, at) select k, n, t, at from jsonb_to_recordset(${JSON.stringify(
      stored.map(toJson),
    )}::text::jsonb) as s(k text, n int, t text, at timestamptz)`;
    const { run, plan, item } = await stage(tx, rows, chosen);
    const judge = async (kind: Plan["kind"]): Promise<TableOutcome> =>
      (await judgeTables(tx, { run, plan: { ...plan, kind }, items: [item] }))[0] as TableOutcome;
    await tx`savepoint before`;
    const preview = await judge("preview");
    await tx`rollback to savepoint before`;
    const outcome = await judge("load");
    const left = await tx<Stored[]>`
      select k, n, t, extract(hour from at at time zone 'UTC')::int as at from prop order by k collate "C"
    `;
    return { rows: [...left], outcome, preview };
  } finally {
    await tx`rollback`;
    tx.release();
  }
}

const toJson = ({ at, ...row }: SourceRow): JsonObject => ({
  ...(row as JsonObject),
  ...(at === undefined ? {} : { at: at === null ? null : instant(at) }),
});

async function stage(tx: Tx, rows: readonly SourceRow[], chosen: Rules) {
  const contract = { natural_key: ["k"], newer_by: "at", null_values: [], ...chosen };
  const { contracts } = parseContracts(JSON.stringify({ tables: { prop: contract } }));
  if (!contracts) throw new Error("the contract is not valid");
  const input = { batchId: "", action: "load", dryRun: false, force: false, source: "manual" } as const;
  const tables = planTables(["prop"], { contracts: { hash: "", contracts }, catalog, input });
  const [ids] = await tx<{ planId: number; itemId: number }[]>`
    with p as (
      insert into table_loader.plans (batch_id, run_id, kind, epoch, attempt, body) values ('b', 'r', 'load', 1, 1, '{}')
      returning plan_id
    )
    insert into table_loader.work_items (plan_id, table_name, kind, home_key, key, etag, size, last_modified)
    select plan_id, 'prop', 'fragment', 'key', 'key', 'e', 1, now() from p
    returning plan_id as "planId", item_id as "itemId"
  `;
  const { planId = 0, itemId = 0 } = ids ?? {};
  const body = { tables } as unknown as Plan["body"];
  await createStaging(tx, planId, body);
  const transform = transformOf(tables[0] as (typeof tables)[0]);
  const staged = rows.map((row, index) => {
    const made = transform(toJson(row));
    if (!("values" in made)) throw new Error("the transform refuses a record");
    const [k, n, t, at] = made.values;
    return { item: itemId, record: index + 1, absent: made.absent, k, n, t, at };
  });
  await tx`
    insert into ${tx(`table_loader_staging.p${planId}_0`)} (_tl_item, _tl_record, _tl_absent, k, n, t, at)
    select item, record, absent, k, n, t, at from jsonb_to_recordset(${JSON.stringify(staged)}::text::jsonb)
      as r(item bigint, record bigint, absent text, k text, n int, t text, at timestamptz)
  `;
  const run: Run = { batchId: "b", kind: "load", planId, fence: 1, epoch: 1, attempt: 1, runId: "r", workers: [1] };
  const item = { itemId, table: "prop", kind: "fragment", records: rows.length, rejected: 0 } as unknown as WorkItem;
  return { run, plan: { planId, runId: "r", attempt: 1, body } as unknown as Plan, item };
}
