import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import type { Catalog } from "../../lib/core/catalog.ts";
import { contractFaults, parseContracts } from "../../lib/core/contract.ts";
import type { ObjectStore } from "../../lib/core/objects.ts";
import { hashOf, loaderVersion, type Plan, type PlanBody, planTables } from "../../lib/core/plan.ts";
import type { CommitOutcome, Judgement } from "../../lib/core/ports.ts";
import type { Reject } from "../../lib/core/rejects.ts";
import type { Run } from "../../lib/core/run.ts";
import type { TableOutcome } from "../../lib/core/target.ts";
import type { NewItem } from "../../lib/core/work-item.ts";
import { openClaims } from "../../lib/ledger/claims.ts";
import { openCommits } from "../../lib/ledger/commits.ts";
import { openPlans } from "../../lib/ledger/plans.ts";
import { openSlices, openWorkItems } from "../../lib/ledger/work-items.ts";
import { openSql } from "../../lib/postgres/connection.ts";
import { stagingTableOf } from "../../lib/postgres/sql-names.ts";
import { readFragment } from "../../lib/readers/read-fragment.ts";
import { stageFragments } from "../../lib/steps/stage-fragments.ts";
import { openPostgresTarget } from "../../lib/targets/postgres/postgres-target.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";

/** The target without bucket and machine: catalog, plan, staging, judge and merge against a real server. */

/** JSON text as it would lie in the bucket, or records to write as such. Several fragments where it is nested. */
export type Content = string | readonly object[];

export type LoadTable = { readonly contract: object; readonly fragments: readonly Content[] };
export type LoadTables = Readonly<Record<string, LoadTable>>;

export type Loaded = {
  readonly outcome: CommitOutcome["outcome"];
  readonly tables: Readonly<Record<string, TableOutcome>>;
  readonly rejects: readonly Reject[];
  readonly rejected: number;
  /** Whether rows had to be staged a second time. */
  readonly restaged: boolean;
};

export type LoadOptions = {
  /** Empties the staging tables before the commit, as a crash of the server does. */
  readonly loseStaging?: boolean;
};

export type TargetBench = {
  readonly database: TestDatabase;
  readonly sql: TestDatabase["sql"];
  /** Plans, stages and commits the tables as one batch. */
  load(tables: LoadTables, options?: LoadOptions): Promise<Loaded>;
  /** The same without any effect. */
  preview(tables: LoadTables): Promise<Loaded>;
  /** Loads one table from one fragment. */
  loadOne(table: string, contract: object, content: Content): Promise<Loaded>;
  catalog(tables: readonly string[]): Promise<Catalog>;
  /** A table's rows in the order of the given expression, every column as text. */
  rows(table: string, columns: string, order?: string): Promise<(string | null)[][]>;
  close(): Promise<void>;
};

const leaseSeconds = 60;
const budget = 60;

export async function openTarget(): Promise<TargetBench> {
  const database = await openTestDatabase();
  const { host, port, user, password } = database.server;
  const login = { host, port, user, database: database.name, password: () => password, tls: null };
  const sql = openSql({ ...login, connections: 4 });
  const parts = openParts(sql);
  return {
    database,
    sql: database.sql,
    load: (tables, options = {}) => runLoad(parts, tables, { kind: "load", ...options }),
    preview: (tables) => runLoad(parts, tables, { kind: "preview" }),
    loadOne: (table, contract, content) =>
      runLoad(parts, { [table]: { contract, fragments: [content] } }, { kind: "load" }),
    catalog: (tables) => parts.catalog.read(tables),
    async rows(table, columns, order = "1") {
      const texts = columns.split(",").map((column) => `(${column})::text`);
      const query = `select ${texts.join(",")} from ${table} order by ${order}`;
      return [...(await database.sql.unsafe(query).values())] as (string | null)[][];
    },
    async close() {
      await sql.end({ timeout: 1 });
      await database.close();
    },
  };
}

function openParts(sql: ReturnType<typeof openSql>) {
  const target = openPostgresTarget({ open: async () => sql, schema: "public" });
  const { catalog, staging } = target;
  return {
    sql,
    catalog,
    claims: openClaims(sql, leaseSeconds),
    plans: openPlans({ sql, staging: staging.tables, leaseSeconds }),
    items: openWorkItems({ sql, leaseSeconds }),
    slices: openSlices({ sql, leaseSeconds, rows: staging.rows }),
    encoder: staging.encoder,
    commits: openCommits({ sql, target, leaseSeconds }),
  };
}

type Parts = ReturnType<typeof openParts>;
let batches = 0;

type RunOptions = LoadOptions & { readonly kind: "load" | "preview" };

async function runLoad(parts: Parts, tables: LoadTables, options: RunOptions): Promise<Loaded> {
  const { kind, loseStaging = false } = options;
  const batchId = `batch_20260101_${String(batches++).padStart(6, "0")}`;
  const body = await planBody(parts, tables);
  const { items, texts } = toItems(batchId, tables);
  const owner = randomUUID();
  const claim = kind === "load" ? await parts.claims.claim({ batchId, owner, source: "manual" }) : null;
  const ids = { batchId, runId: owner, epoch: 1, attempt: 1, fence: claim?.fence ?? 0, kind };
  const planId = await parts.plans.create({ ...ids, source: "manual", body, items, workers: 1 });
  const run: Run = { ...ids, planId, workers: [1] };
  const stage = () =>
    stageFragments(stagePorts(parts, texts), { run, worker: 1, execution: owner }, Number.MAX_SAFE_INTEGER);
  try {
    await stage();
    const plan = await parts.plans.read(planId);
    if (!plan) throw new Error("the plan is gone");
    if (loseStaging) await emptyStaging(parts, plan);
    const loaded = await finish(parts, run, plan);
    if (loaded.outcome !== "restage") return loaded;
    await stage();
    return { ...(await finish(parts, run, plan)), restaged: true };
  } finally {
    await parts.plans.discard(planId);
  }
}

async function emptyStaging({ sql }: Parts, { planId, body }: Plan): Promise<void> {
  for (const index of body.tables.keys()) await sql.unsafe(`truncate ${stagingTableOf(planId, index)}`);
}

async function finish({ commits, items }: Parts, run: Run, plan: Plan): Promise<Loaded> {
  const fault = (await items.list(run.planId)).find((item) => item.fault)?.fault;
  if (fault) throw new Error(`${fault.code}: ${fault.message}`);
  if (run.kind === "preview") return toLoaded("committed", await commits.preview(run, plan, budget));
  const committed = await commits.commit(run, plan, budget);
  return toLoaded(committed.outcome, "judgement" in committed ? committed.judgement : null);
}

function toLoaded(outcome: Loaded["outcome"], judgement: Judgement | null): Loaded {
  const tables = Object.fromEntries((judgement?.tables ?? []).map((table) => [table.table, table]));
  return { outcome, tables, rejects: judgement?.rejects ?? [], rejected: judgement?.rejected ?? 0, restaged: false };
}

async function planBody({ catalog }: Parts, tables: LoadTables): Promise<PlanBody> {
  const contracts = Object.fromEntries(Object.entries(tables).map(([table, { contract }]) => [table, contract]));
  const parsed = parseContracts(JSON.stringify({ tables: contracts }));
  if (!parsed.contracts) throw new Error(parsed.faults.join("; "));
  const names = Object.keys(tables);
  const shapes = await catalog.read(names);
  const faults = contractFaults(parsed.contracts, shapes);
  if (faults.length > 0) throw new Error(faults.join("; "));
  const input = { batchId: "", action: "load", dryRun: false, force: false, source: "manual" } as const;
  const version = { hash: "", contracts: parsed.contracts };
  return {
    tables: planTables(names, { contracts: version, catalog: shapes, input }),
    held: [],
    parts: [],
    totals: {},
    options: {},
    batchSize: 1000,
    contractHash: "",
    catalogHash: hashOf([...(await catalog.read(names)).values()]),
    loaderVersion,
    approved: false,
  };
}

function toItems(batchId: string, tables: LoadTables) {
  const texts = new Map<string, Buffer>();
  const items = Object.entries(tables).flatMap(([table, { fragments }]) =>
    fragments.map((content, index): NewItem => {
      const key = `staging/validated/${batchId}/${table}/part-${index + 1}.json`;
      const bytes = Buffer.from(typeof content === "string" ? content : JSON.stringify(content));
      texts.set(key, bytes);
      const object = { key, versionId: null, etag: "e", size: bytes.length, lastModified: new Date(0) };
      return { table, kind: "fragment", stagedKey: key, object };
    }),
  );
  return { items, texts };
}

function stagePorts(parts: Parts, texts: ReadonlyMap<string, Buffer>) {
  const store: Pick<ObjectStore, "read"> = {
    read: async ({ key }, from = 0) => ({
      bytes: Readable.from([texts.get(key)?.subarray(from) ?? Buffer.alloc(0)]),
      contentEncoding: null,
    }),
  };
  return {
    ...parts,
    store: store as ObjectStore,
    read: readFragment,
    log: { info: () => undefined, warn: () => undefined },
    gauges: { emit: () => undefined },
    crashPoint: () => undefined,
    now: () => Date.now(),
    pause: async () => undefined,
    memoryShare: () => 0,
  };
}

/** `[record, field, code, constraint]` of every reject, in the order of the report. */
export function summarize(loaded: Loaded): (string | number | null)[][] {
  return loaded.rejects.map(({ record, field, code, constraint }) => [record, field, code, constraint]);
}

/** Counts of one table without the zeros. */
export function countsOf(loaded: Loaded, table: string): Record<string, number> {
  const counts = Object.entries(loaded.tables[table]?.counts ?? {}).filter(([, count]) => count > 0);
  return Object.fromEntries(counts.map(([name, count]) => [name.replace("records_", ""), count]));
}
