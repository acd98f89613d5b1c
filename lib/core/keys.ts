/** Every S3 key of the loader, built and taken apart here and nowhere else. */

export const stagingPrefix = "staging/validated/";
export const contractsKey = "config/tables.json";
export const successMarker = "_SUCCESS";
export const manifestMarker = "_manifest.json";

/** `batch_YYYYMMDD_HHMMSS`. A configured pattern may be stricter or other, but never admits a separator. */
export const defaultBatchIdPattern = "^batch_[0-9]{8}_[0-9]{6}$";

/** A key below `staging/validated/` (or an archive prefix), taken apart. */
export type FragmentKey =
  | { readonly kind: "fragment"; readonly batchId: string; readonly table: string; readonly part: string | null }
  | {
      readonly kind: "marker";
      readonly batchId: string;
      readonly table: string;
      readonly marker: typeof successMarker | typeof manifestMarker;
    };

const fragmentName = /^(?<name>[^/]+?)\.(?:json|ndjson|jsonl)(?:\.gz)?$/;

/**
 * Takes a key below `prefix` apart: `<batch>/<table>.json`, `<batch>/<table>/<part>.json`, or a marker of a table.
 * Anything else (folders, foreign files, deeper paths) is null.
 */
export function parseFragmentKey(key: string, prefix: string = stagingPrefix): FragmentKey | null {
  if (!key.startsWith(prefix)) return null;
  const [batchId, second, third, ...deeper] = key.slice(prefix.length).split("/");
  if (!batchId || !second || deeper.length > 0) return null;
  if (third === undefined) {
    const table = fragmentName.exec(second)?.groups?.name;
    return table === undefined ? null : { kind: "fragment", batchId, table, part: null };
  }
  if (third === successMarker || third === manifestMarker) {
    return { kind: "marker", batchId, table: second, marker: third };
  }
  return fragmentName.test(third) ? { kind: "fragment", batchId, table: second, part: third } : null;
}

/** `staging/validated/<batch>/` */
export function stagingPrefixOf(batchId: string): string {
  return `${stagingPrefix}${batchId}/`;
}

/** The part of a key below its batch folder, for example `blood/part-1.json`. */
export function keyBelowBatch(key: string, batchFolder: string): string {
  return key.slice(batchFolder.length);
}

/** `loaded/<batch>/`, from the second epoch on `loaded/<batch>/epoch-<n>/`. */
export function loadedPrefixOf(batchId: string, epoch: number): string {
  return epoch > 1 ? `${loadedPrefix}${batchId}/epoch-${epoch}/` : `${loadedPrefix}${batchId}/`;
}

/** Everything that was loaded, of all batches. */
export const loadedPrefix = "loaded/";
export const failedPrefix = "failed/";

/** An object in the archive of what was loaded, and the key in staging that it arrived under. */
export type ArchivedKey = {
  readonly key: string;
  readonly stagedKey: string;
  readonly batchId: string;
  readonly epoch: number;
  readonly table: string;
};

const archivedName = /^(?<batchId>[^/]+)\/(?:epoch-(?<epoch>[1-9][0-9]*)\/)?(?<below>.+)$/s;
const reportName = /^load_result(?:\.attempt-[0-9]+)?\.json$/;

/** Takes a key below `loaded/` apart; null for reports, kept duplicates and whatever else is no fragment or marker. */
export function parseArchivedKey(key: string): ArchivedKey | null {
  if (!key.startsWith(loadedPrefix)) return null;
  const { batchId, epoch, below } = archivedName.exec(key.slice(loadedPrefix.length))?.groups ?? {};
  if (!batchId || !below || reportName.test(below)) return null;
  const stagedKey = `${stagingPrefixOf(batchId)}${below}`;
  const parsed = parseFragmentKey(stagedKey);
  return parsed && { key, stagedKey, batchId, epoch: Number(epoch ?? 1), table: parsed.table };
}

/** The batch to which an archive's key belongs. */
export function batchOfArchive(key: string): string | null {
  return key.split("/")[1] || null;
}

/** `failed/<batch>/`, from the second failed attempt on `failed/<batch>/attempt-<n>/`. */
export function failedPrefixOf(batchId: string, attempt: number): string {
  return attempt > 1 ? `${failedPrefix}${batchId}/attempt-${attempt}/` : `${failedPrefix}${batchId}/`;
}

/** Where a byte-identical redelivery is kept. */
export function duplicatePrefixOf(batchId: string, version: string): string {
  return `loaded/${batchId}/duplicates/${version}/`;
}

export function errorLogKey(failedPrefix: string): string {
  return `${failedPrefix}error_log.json`;
}

/** One report per attempt, at a key that a repetition writes again. */
export function loadResultKey(archivePrefix: string, attempt: number): string {
  return attempt > 1 ? `${archivePrefix}load_result.attempt-${attempt}.json` : `${archivePrefix}load_result.json`;
}

export function previewKey(batchId: string, runId: string): string {
  return `previews/${batchId}/${runId}.json`;
}

/** The run id in the key of a preview's report. */
export function previewRunId(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1).replace(/\.json$/, "");
}

/** A version label that is safe inside a key, for buckets with and without versioning. */
export function versionLabel(version: { versionId: string | null; etag: string; size: number }): string {
  return (version.versionId ?? `${version.etag}-${version.size}`).replaceAll(/[^A-Za-z0-9._-]/g, "");
}
