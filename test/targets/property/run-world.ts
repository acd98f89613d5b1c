import { Readable } from "node:stream";
import type { Catalog } from "../../../lib/core/catalog.ts";
import { contractFaults, parseContracts } from "../../../lib/core/contract.ts";
import type { ObjectStore } from "../../../lib/core/objects.ts";
import { type Plan, type PlanBody, planTables, type TablePlan } from "../../../lib/core/plan.ts";
import type { TakeRecord } from "../../../lib/core/records.ts";
import type { Reject } from "../../../lib/core/rejects.ts";
import type { Run } from "../../../lib/core/run.ts";
import type { TableOutcome } from "../../../lib/core/target.ts";
import type { WorkItem } from "../../../lib/core/work-item.ts";
import { sinks } from "../../../lib/ledger/sinks.ts";
import { insertRejects, rejectsOfPlan } from "../../../lib/ledger/stored-rejects.ts";
import { shareTransaction, type Tx } from "../../../lib/postgres/transaction.ts";
import { readFragment } from "../../../lib/readers/read-fragment.ts";
import { openTableEncoder } from "../../../lib/targets/postgres/encode/table-encoder.ts";
import { judgeTables } from "../../../lib/targets/postgres/judge.ts";
import { openCatalog } from "../../../lib/targets/postgres/postgres-catalog.ts";
import { createStagingSql, openCopy } from "../../../lib/targets/postgres/staging.ts";
import { type Facts, rejectText, type TableFacts } from "./oracle.ts";
import { createTableSql, fragmentJson, insertSql, literal, selectSql } from "./sql.ts";
import { type Case, fragmentKey, type TableSpec, type World } from "./world.ts";

/** Runs cases on a real server: the reader, the transform, COPY, judge and merge, in a transaction that is rolled back. */

/** Every second case is previewed first. */
export type Ran = { readonly preview: Facts | null; readonly load: Facts };

const planId = 1;
const run: Run = { batchId: "b", kind: "load", planId, fence: 1, epoch: 1, attempt: 1, runId: "r", workers: [1] };
/** As the loader's own transactions have it. */
const settings = "set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local intervalstyle = 'iso_8601'";

/** Hands out every case of the world with what the server makes of it; each begins with the same empty tables. */
export async function runWorld(tx: Tx, world: World, onCase: (contents: Case, ran: Ran) => void): Promise<void> {
  await tx.unsafe(`begin; ${settings}; ${world.tables.map(createTableSql).join("; ")}`);
  try {
    const catalog = await openCatalog(tx as unknown as Parameters<typeof openCatalog>[0], "public").read(
      world.tables.map(({ name }) => name),
    );
    for (const [index, contents] of world.cases.entries()) {
      await tx.unsafe("savepoint before_case");
      onCase(contents, await runCase(tx, { tables: world.tables, catalog, isForeseen: index % 2 === 0 }, contents));
      await tx.unsafe("rollback to savepoint before_case");
    }
  } finally {
    await tx.unsafe("rollback");
  }
}

type Made = { readonly tables: readonly TableSpec[]; readonly catalog: Catalog; readonly isForeseen: boolean };

async function runCase(tx: Tx, made: Made, contents: Case): Promise<Ran> {
  const loaded = made.tables.filter(({ name }) => (contents[name]?.fragments.length ?? 0) > 0);
  const body = { tables: planOf(loaded, made.catalog, contents) } as unknown as PlanBody;
  const items = loaded.flatMap(({ name }) =>
    (contents[name]?.fragments ?? []).map((_, index) => ({ table: name, key: fragmentKey(name, index) })),
  );
  await tx.unsafe(
    [...made.tables.map((table) => insertSql(table, contents[table.name]?.stored ?? [])), ledgerSql(items)].join("; "),
  );
  await tx.unsafe(createStagingSql(planId, body).flat().join("; "));
  const staged = await stage(tx, body.tables, contents);
  const plan = { planId, runId: "r", attempt: 1, body } as unknown as Plan;
  const judge = async (kind: Plan["kind"]): Promise<Facts> => {
    const outcomes = await judgeTables(tx, {
      run,
      part: 0,
      plan: { ...plan, kind },
      items: staged,
      sinks,
      within: shareTransaction(tx),
      mayRace: false,
      enter: () => undefined,
    });
    return collectFacts(tx, loaded, outcomes);
  };
  if (!made.isForeseen) return { preview: null, load: await judge("load") };
  await tx.unsafe("savepoint before_judge");
  const preview = await judge("preview");
  await tx.unsafe("rollback to savepoint before_judge");
  return { preview, load: await judge("load") };
}

function planOf(tables: readonly TableSpec[], catalog: Catalog, contents: Case): TablePlan[] {
  const text = JSON.stringify({
    tables: Object.fromEntries(tables.map(({ name }) => [name, contents[name]?.contract])),
  });
  const { contracts, faults } = parseContracts(text);
  const all = contracts ? contractFaults(contracts, catalog) : faults;
  if (!contracts || all.length > 0) throw new Error(all.join("; "));
  const input = { batchId: "", action: "load", dryRun: false, force: false, source: "manual" } as const;
  const names = tables.map(({ name }) => name);
  return planTables(names, { contracts: { hash: "", contracts }, catalog, input });
}

type NewItem = { readonly table: string; readonly key: string };

/** The plan and its items, numbered from 1. */
function ledgerSql(items: readonly NewItem[]): string {
  const rows = items.map(
    ({ table, key }, index) =>
      `(${index + 1}, ${planId}, ${literal(table)}, 'fragment', ${literal(key)}, ${literal(key)}, 'e', 1, now())`,
  );
  return `
    insert into table_loader.plans (plan_id, batch_id, run_id, kind, epoch, attempt, body)
    overriding system value values (${planId}, 'b', 'r', 'load', 1, 1, '{}');
    insert into table_loader.work_items (item_id, plan_id, table_name, kind, home_key, key, etag, size, last_modified)
    overriding system value values ${rows.join(", ")}`;
}

/** Stages every fragment as the step does; answers the items with their counts, in the order of their ids. */
async function stage(tx: Tx, plans: readonly TablePlan[], contents: Case): Promise<WorkItem[]> {
  const staged: WorkItem[] = [];
  for (const [table, { fragments }] of Object.entries(contents)) {
    const index = plans.findIndex((candidate) => candidate.table === table);
    const plan = plans[index];
    if (!plan) continue;
    const lines: Buffer[] = [];
    // The bytes are used again behind the promise, so what is kept is a copy.
    const writer = { write: async (bytes: Uint8Array) => void lines.push(Buffer.from(bytes)) };
    for (const [place, records] of fragments.entries()) {
      const object = { key: fragmentKey(table, place) };
      const item = { itemId: staged.length + 1, table, kind: "fragment", object } as unknown as WorkItem;
      const encoder = openTableEncoder(plan).begin(item);
      for await (const group of readText(fragmentJson(records), encoder.take)) await encoder.send(group, writer);
      const { rejects, rejected } = await encoder.end();
      await insertRejects(tx, run, { rejects, itemId: item.itemId });
      staged.push({ ...item, records: records.length, rejected });
    }
    if (lines.length === 0) continue;
    const copy = await openCopy(tx, { planId, plan, index, item: { itemId: 0, slices: 0 } });
    await copy.write(Buffer.concat(lines));
    await copy.end();
  }
  return staged;
}

function readText(text: string, take: TakeRecord): ReturnType<typeof readFragment> {
  const bytes = Buffer.from(text);
  const store = {
    read: async (_: unknown, from = 0) => ({ bytes: Readable.from([bytes.subarray(from)]), contentEncoding: null }),
  };
  const version = { key: "k", versionId: null, etag: "e", size: bytes.length, lastModified: new Date(0) };
  return readFragment(store as unknown as ObjectStore, version, { from: null, take });
}

async function collectFacts(tx: Tx, specs: readonly TableSpec[], outcomes: readonly TableOutcome[]): Promise<Facts> {
  const rejects = await rejectsOfPlan(tx, planId, 1000);
  const left = await tx.unsafe<Record<string, string[]>[]>(`select ${specs.map(factsSql).join(", ")}`);
  const tables = specs.map((spec): [string, TableFacts] => {
    const outcome = outcomes.find(({ table }) => table === spec.name);
    if (!outcome) throw new Error(`no outcome for table ${spec.name}`);
    const [rows = [], [audited = "0"] = []] = [left[0]?.[`${spec.name}_rows`], left[0]?.[`${spec.name}_audit`]];
    const { counts, changedFields, immutableAttempts } = outcome;
    const shown = rows.map((row) => JSON.stringify(JSON.parse(row))).toSorted();
    return [spec.name, { rows: shown, counts, changedFields, immutableAttempts, auditRows: Number(audited) }];
  });
  return { tables: Object.fromEntries(tables), rejects: rejects.map(toRejectText).toSorted() };
}

function toRejectText({ table, key, record, field, code, constraint }: Reject): string {
  return rejectText({ table, key, record, field: field ?? "", code, constraint });
}

function factsSql(table: TableSpec): string {
  return `array(${selectSql(table)}) as ${table.name}_rows,
    array(select count(*)::text from public.audit_log where table_name = ${literal(table.name)}) as ${table.name}_audit`;
}
