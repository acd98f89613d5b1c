import { listNames } from "../core/decide.ts";
import { fingerprintVersion, sumFingerprints } from "../core/fingerprint.ts";
import { versionLabel } from "../core/keys.ts";
import type { Run } from "../core/run.ts";
import type { WorkItem } from "../core/work-item.ts";
import type { Tx } from "../postgres/transaction.ts";

type Content = { readonly fingerprint: bigint; readonly records: number };
type Loaded = Content & { readonly key: string; readonly etag: string; readonly size: number };

/**
 * Compares a redelivery with what was loaded, without any effect on the targets. The same content is archived as a
 * duplicate; changed content is recorded once per version and left where it is, with the older versions of its key.
 */
export async function compareRedelivery(
  tx: Tx,
  run: Run,
  items: readonly WorkItem[],
): Promise<{ readonly changed: string[]; readonly same: string[] }> {
  const tables = Map.groupBy(items, (item) => item.table);
  const changed: WorkItem[] = [];
  for (const [table, ofTable] of tables) {
    const loaded = await readLoaded(tx, run, table);
    const fragments = ofTable.filter(({ kind }) => kind === "fragment");
    const byKey = Map.groupBy(loaded, ({ key }) => key);
    const of = ({ stagedKey }: WorkItem): readonly Loaded[] => byKey.get(stagedKey) ?? [];
    const contents = fragments.map((item) => contentOf(item, of(item)));
    if (isSameTable(contents, loaded)) continue;
    const different = fragments.filter((item, index) => !isSameFragment(contents[index] ?? null, of(item)));
    // The marker of a table that changed stays with its parts.
    changed.push(...different, ...(different.length > 0 ? ofTable.filter(({ kind }) => kind === "marker") : []));
  }
  const same = items.filter((item) => item.kind !== "superseded" && !changed.includes(item));
  await markVersions(tx, run, changed, "changed");
  await markVersions(tx, run, same, "duplicate");
  const left = new Set(changed.map(({ object }) => object.key));
  await leaveInPlace(
    tx,
    items.filter(({ object }) => left.has(object.key)),
  );
  const keys = changed.filter(({ kind }) => kind === "fragment").map(({ stagedKey }) => stagedKey);
  await noteChanged(tx, run, keys);
  return { changed: keys, same: same.map(({ stagedKey }) => stagedKey) };
}

async function readLoaded(tx: Tx, run: Run, table: string): Promise<Loaded[]> {
  const rows = await tx<(Omit<Loaded, "fingerprint"> & { fingerprint: string })[]>`
    select key, etag, size, fingerprint::text as fingerprint, records
    from table_loader.object_versions
    where batch_id = ${run.batchId} and epoch = ${run.epoch} and table_name = ${table} and state = 'loaded'
      -- the only version so far: a second one has to be compared with the encoder of the first
      and fingerprint_version = ${fingerprintVersion}
  `;
  return rows.map((row) => ({ ...row, fingerprint: BigInt(row.fingerprint) }));
}

/**
 * The content of a fragment; null if it was not read. The same ETag and size mean the same content, even if the table's
 * columns, which the fingerprint depends on, have changed since. Different ETags prove nothing: the same bytes have
 * another one if they are uploaded in parts.
 */
function contentOf(item: WorkItem, ofKey: readonly Loaded[]): Content | null {
  const { etag, size } = item.object;
  const same = ofKey.find((known) => known.etag === etag && known.size === size);
  return same ?? (item.state === "done" ? item : null);
}

const isSameFragment = (content: Content | null, ofKey: readonly Loaded[]): boolean =>
  content !== null && ofKey.some((known) => isSame(known, content));

/** True if the table's records are the same, even in other fragments. */
function isSameTable(contents: readonly (Content | null)[], loaded: readonly Loaded[]): boolean {
  const known = contents.filter((content) => content !== null);
  return known.length === contents.length && isSame(sumOf(known), sumOf(loaded));
}

const isSame = (one: Content, other: Content): boolean =>
  one.fingerprint === other.fingerprint && one.records === other.records;

const sumOf = (parts: readonly Content[]): Content => ({
  fingerprint: sumFingerprints(parts),
  records: parts.reduce((total, { records }) => total + records, 0),
});

type Verdict = "changed" | "duplicate";

async function markVersions(tx: Tx, run: Run, items: readonly WorkItem[], state: Verdict): Promise<void> {
  const versions = items.map((item) => ({ key: item.stagedKey, version: versionLabel(item.object) }));
  await tx`
    update table_loader.object_versions o
    set state = ${state}, updated_at = now()
    from jsonb_to_recordset(${JSON.stringify(versions)}::text::jsonb) as v(key text, version text)
    where o.key = v.key and o.version = v.version and o.epoch = ${run.epoch} and o.state <> 'loaded'
  `;
}

async function leaveInPlace(tx: Tx, items: readonly WorkItem[]): Promise<void> {
  const ids = items.map(({ itemId }) => itemId);
  await tx`update table_loader.work_items set archived_key = key where item_id = any(${ids}::bigint[])`;
}

async function noteChanged(tx: Tx, run: Run, changed: readonly string[]): Promise<void> {
  if (changed.length === 0) return;
  const message = `batch ${run.batchId} is loaded and these fragments came again with other content: ${listNames(changed)}; they stay where they are, and nothing was loaded from them`;
  await tx`
    update table_loader.attempts set code = 'BATCH_CONTENT_CHANGED', message = ${message}
    where batch_id = ${run.batchId} and fence = ${run.fence}
  `;
}
