import { expect } from "vitest";
import { testerName } from "../../support/database.ts";
import { brokenRules, type Evidence } from "../../support/invariants.ts";
import type { Listed, VersionedFlow } from "../../versions/support.ts";
import { type TargetEvidence, targetFaults } from "./expected-targets.ts";

/**
 * The one checker of I1 to I7 on a bucket with versions: it reads tables and bucket, never the machine. Tests of previews
 * check I8: they compare `worldOf` before and after.
 */

type VersionedEvidence = Evidence &
  TargetEvidence & {
    versions(prefix: string): Promise<readonly Listed[]>;
    uploads(): Promise<number>;
  };

export function evidenceOf({
  sql,
  bucket,
  current,
}: Pick<VersionedFlow, "sql" | "bucket" | "current">): VersionedEvidence {
  const { text, json, versions, uploads } = bucket;
  return { sql, keys: current, text, json, versions, uploads };
}

/** Fails with the rules that do not hold, each with the rows that break it. Nothing may run meanwhile. */
export async function expectInvariants(flow: Pick<VersionedFlow, "sql" | "bucket" | "current">): Promise<void> {
  expect(await brokenInvariants(evidenceOf(flow))).toEqual({});
}

export async function brokenInvariants(evidence: VersionedEvidence): Promise<Record<string, unknown[]>> {
  const broken = await brokenRules(evidence);
  const note = (rule: string, faults: readonly unknown[]): void => {
    if (faults.length > 0) broken[rule] = [...faults];
  };
  for (const [rule, query] of Object.entries(labRules)) note(rule, await evidence.sql.unsafe(query));
  note("I1 the targets are what the ledger implies", await targetFaults(evidence));
  note("I3 what is archived has left staging", await leftInStaging(evidence));
  const uploads = await evidence.uploads();
  note("I4 no upload in parts is left", uploads === 0 ? [] : [{ uploads }]);
  return broken;
}

const loaders = `datname = current_database() and application_name <> '${testerName}' and backend_type = 'client backend'`;

const labRules: Readonly<Record<string, string>> = {
  "probe: a row is written once by a transaction": `
    select table_name, key, xid::text, count(*)::integer as writes from probe.writes
    where table_name <> 'commits' group by table_name, key, xid having count(*) > 1`,
  "probe: a row is inserted once": `
    select table_name, key, count(*)::integer as inserts from probe.writes
    where table_name <> 'commits' and operation = 'insert' group by table_name, key
    having count(*) > 1 + (select count(*) from probe.writes d
      where d.table_name = writes.table_name and d.key = writes.key and d.operation = 'delete')`,
  "probe: a transaction that writes a target writes its commits row": `
    select w.table_name, w.key, w.xid::text from probe.writes w
    where w.table_name <> 'commits' and not exists (
      select from probe.writes c
      where c.table_name = 'commits' and c.xid = w.xid and c.key like '%|' || w.table_name)`,
  "probe: a commits row is inserted once": `
    select key, count(*)::integer as inserts from probe.writes
    where table_name = 'commits' and operation = 'insert' group by key having count(*) > 1`,
  "I2 one ledger row per object version and epoch": `
    select version, epoch, array_agg(key) as keys from table_loader.object_versions
    where version <> '' group by version, epoch having count(*) > 1`,
  "I4 no backend of the loader is left": `select pid, state, query from pg_stat_activity where ${loaders}`,
  "I4 no lock is held": `
    select l.pid, l.mode, l.relation::regclass::text as relation
    from pg_locks l join pg_stat_activity a using (pid) where ${loaders}`,
  "I4 no prepared transaction, no lease of a sweep": `
    select 'prepared' as what, gid as name from pg_prepared_xacts
    union all select 'lease', name from table_loader.leases where lease_until > now()`,
  "I5 nobody stands in line": "select batch_id, owner, admitted from table_loader.line",
  "I6 what failed says why": `
    select batch_id, fence from table_loader.attempts
    where state = 'failed' and (coalesce(code, '') = '' or coalesce(message, '') = '')
    union all select batch_id, reject_id from table_loader.rejects where key = '' or code = '' or record is null
    union all select batch_id, id from validation_queue
    where validation_status = 'load_failed' and coalesce(error_summary, '') !~ '^[A-Z][A-Z0-9_]+: '`,
};

async function leftInStaging({ sql, versions }: VersionedEvidence): Promise<object[]> {
  const staged = new Set((await versions("staging/")).map(({ key, versionId }) => `${key} ${versionId}`));
  const rows = await sql<{ key: string; version: string; archived: string }[]>`
    select key, version, archived_key as archived from table_loader.object_versions
    where state in ('loaded', 'failed') and archived_key is not null and archived_key <> key`;
  return rows.filter(({ key, version }) => staged.has(`${key} ${version}`));
}

/** A digest of every table and of the bucket, but for the reports of previews (I8). */
export async function worldOf({ sql, versions }: VersionedEvidence): Promise<Record<string, string>> {
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname in ('public', 'table_loader', 'table_loader_staging', 'probe') order by 1`;
  const world: Record<string, string> = {};
  for (const { name } of tables) {
    const [row] = await sql.unsafe<{ digest: string }[]>(
      `select coalesce(md5(string_agg(t::text, E'\\n' order by t::text)), '') as digest from ${name} t`,
    );
    world[name] = row?.digest ?? "";
  }
  for (const { key, versionId } of await versions("")) {
    if (!key.startsWith("previews/")) world[`${key} ${versionId}`] = "there";
  }
  return world;
}

/** The tables and objects that are not the same in both. */
export function changesBetween(before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => before[name] !== after[name]).toSorted();
}
