/** The S3 keys of the loader, which are built and parsed here and nowhere else. */

export const stagingPrefix = "staging/validated/";
/** The archive of loaded fragments, of all batches. */
export const loadedPrefix = "loaded/";
export const failedPrefix = "failed/";
export const contractsKey = "config/tables.json";
export const successMarker = "_SUCCESS";
export const manifestMarker = "_manifest.json";

/** `batch_YYYYMMDD_HHMMSS`. A configured pattern may differ; a separator is never admitted. */
export const defaultBatchIdPattern = "^batch_[0-9]{8}_[0-9]{6}$";

/** A key below `staging/validated/` or an archive prefix, parsed. */
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
 * Parses a key below `prefix`: `<batch>/<table>.json`, `<batch>/<table>/<part>.json`, or a marker of a table; null for
 * anything else (folders, foreign files, deeper paths).
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

/** A key in the archive of loaded fragments, and the key in staging under which the object arrived. */
export type ArchivedKey = {
  readonly key: string;
  readonly stagedKey: string;
  readonly batchId: string;
  readonly epoch: number;
  readonly table: string;
};

const archivedName = /^(?<batchId>[^/]+)\/(?:epoch-(?<epoch>[1-9][0-9]*)\/)?(?<below>.+)$/s;
const reportName = /^load_result(?:\.attempt-[0-9]+)?\.json$/;

/** Parses a key below `loaded/`; null for reports, kept duplicates and anything else that is no fragment or marker. */
export function parseArchivedKey(key: string): ArchivedKey | null {
  if (!key.startsWith(loadedPrefix)) return null;
  const { batchId, epoch, below } = archivedName.exec(key.slice(loadedPrefix.length))?.groups ?? {};
  if (!batchId || !below || reportName.test(below)) return null;
  const stagedKey = `${stagingPrefixOf(batchId)}${below}`;
  const parsed = parseFragmentKey(stagedKey);
  return parsed && { key, stagedKey, batchId, epoch: Number(epoch ?? 1), table: parsed.table };
}

/** The batch of a key in an archive; null if the key names none. */
export function batchOfArchive(key: string): string | null {
  return key.split("/")[1] || null;
}

/** `failed/<batch>/`, from the second failed attempt on `failed/<batch>/attempt-<n>/`. */
export function failedPrefixOf(batchId: string, attempt: number): string {
  return attempt > 1 ? `${failedPrefix}${batchId}/attempt-${attempt}/` : `${failedPrefix}${batchId}/`;
}

/** The folder of a byte-identical redelivery. */
export function duplicatePrefixOf(batchId: string, version: string): string {
  return `${loadedPrefix}${batchId}/duplicates/${version}/`;
}

export function errorLogKey(failedPrefix: string): string {
  return `${failedPrefix}error_log.json`;
}

/** The key of an attempt's report, which a repetition writes again. */
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

/** A name of the version that is safe in a key: its version id, or ETag and size in a bucket without versioning. */
export function versionLabel(version: { versionId: string | null; etag: string; size: number }): string {
  return (version.versionId ?? `${version.etag}-${version.size}`).replaceAll(/[^A-Za-z0-9._-]/g, "");
}
