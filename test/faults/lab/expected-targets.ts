import type postgres from "postgres";
import { contractsKey } from "../../../lib/core/keys.ts";
import type { Evidence } from "../../support/invariants.ts";
import { naturalKeys } from "./probe.ts";

/**
 * I1: the expected rows of the targets, replayed from the archived fragments of the committed batches in the order of
 * their commits. It knows the strategies that its tests use, and nothing of how the loader works.
 */

export type TargetEvidence = Pick<Evidence, "sql" | "json"> & { text(key: string): Promise<string | null> };

type JsonRecord = Readonly<Record<string, unknown>>;
type Contract = {
  readonly update_strategy: string;
  readonly conflict_resolution?: string | undefined;
  readonly newer_by?: string | undefined;
  readonly immutable_fields?: readonly string[] | undefined;
};

type Archived = { readonly table: string; readonly batch: string; readonly key: string | null };

/** Rows that are missing, unknown or of other content, each by table and key. */
export async function targetFaults(evidence: TargetEvidence): Promise<object[]> {
  const { tables: contracts } = (await evidence.json(contractsKey)) as { tables: Record<string, Contract> };
  const archived = await committedFragments(evidence.sql);
  const faults: object[] = [];
  const targets = new Map<string, Map<string, JsonRecord>>(Object.keys(naturalKeys).map((table) => [table, new Map()]));
  for (const { table, batch, key } of archived) {
    const text = key === null ? null : await evidence.text(key);
    if (text === null) faults.push({ table, batch, key, fault: "the archived object is gone" });
    const contract = contracts[table] as Contract;
    for (const record of readRecords(text ?? "[]")) merge(targets.get(table), { table, contract, record });
  }
  for (const [table, rows] of targets) faults.push(...(await differences(evidence.sql, table, [...rows.values()])));
  return faults;
}

/** The order of the commits is the server's own. */
async function committedFragments(sql: postgres.Sql): Promise<Archived[]> {
  const rows = await sql<Archived[]>`
    select v.table_name as table, v.batch_id as batch, v.archived_key as key
    from table_loader.commits c
    join table_loader.object_versions v using (batch_id, epoch, table_name)
    where c.rolled_back_at is null and v.state = 'loaded'
    order by pg_xact_commit_timestamp(c.xmin), v.key`;
  return [...rows];
}

function readRecords(text: string): JsonRecord[] {
  const isLines = /^\s*\{/.test(text) && /\}\s*\n\s*\{/.test(text);
  if (isLines)
    return text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => JSON.parse(line));
  const parsed = JSON.parse(text) as JsonRecord[] | { records?: JsonRecord[]; data?: JsonRecord };
  return Array.isArray(parsed) ? parsed : (parsed.records ?? [parsed.data ?? {}]);
}

type Merging = { readonly table: string; readonly contract: Contract; readonly record: JsonRecord };

const textsForNull = new Set<unknown>(["", "NULL", "NA"]);

function merge(rows: Map<string, JsonRecord> | undefined, { table, contract, record }: Merging): void {
  const given = Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, textsForNull.has(value) ? null : value]),
  );
  const key = (naturalKeys[table] ?? []).map((name) => String(given[name])).join("|");
  const stored = rows?.get(key);
  if (!stored) {
    if (contract.update_strategy !== "update_only") rows?.set(key, given);
    return;
  }
  if (contract.update_strategy !== "insert_only") rows?.set(key, resolve(contract, stored, given));
}

function resolve(contract: Contract, stored: JsonRecord, given: JsonRecord): JsonRecord {
  const { conflict_resolution: resolution = "merge", newer_by: newerBy, immutable_fields: immutable = [] } = contract;
  if (resolution === "skip") return stored;
  if (resolution === "newest" && newerBy && !isNewer(given[newerBy], stored[newerBy])) return stored;
  const changes = Object.entries(given).filter(
    ([name, value]) => !immutable.includes(name) && (resolution === "replace" || value !== null),
  );
  return { ...stored, ...Object.fromEntries(changes) };
}

const isNewer = (given: unknown, stored: unknown): boolean => Date.parse(String(given)) > Date.parse(String(stored));

/** Compared by the server, as values of the columns' types; fields that no record gave are not looked at. */
async function differences(sql: postgres.Sql, table: string, records: readonly JsonRecord[]): Promise<object[]> {
  const keys = naturalKeys[table] ?? [];
  const same = keys.map((name) => `w.row->>'${name}' = s.row->>'${name}'`).join(" and ");
  const named = (side: string): string => `concat_ws('|', ${keys.map((name) => `${side}.row->>'${name}'`).join(", ")})`;
  return sql.unsafe(
    `
    with wanted as (
      select d.doc, to_jsonb(jsonb_populate_record(null::public.${table}, d.doc)) as row
      from jsonb_array_elements($1::text::jsonb) as d(doc)
    ), stored as (select to_jsonb(t) as row from public.${table} t)
    select '${table}' as table, coalesce(nullif(${named("w")}, ''), ${named("s")}) as key,
           case when w.row is null then 'of no committed batch' when s.row is null then 'missing' else 'differs' end as fault
    from wanted w full join stored s on ${same}
    where w.row is null or s.row is null
       or exists (select from jsonb_object_keys(w.doc) as f(name) where w.row->f.name is distinct from s.row->f.name)
    limit 20`,
    [JSON.stringify(records)],
  );
}
