import type { Fault } from "./errors.ts";

/** The result of a load and its counts. */

/** Fates of records: read = inserted + updated + unchanged + skipped + collapsed + deleted + rejected. */
export type RecordCounts = {
  readonly records_read: number;
  /** Inserted. */
  readonly records_loaded: number;
  readonly records_updated: number;
  readonly records_unchanged: number;
  readonly records_skipped: number;
  readonly records_collapsed: number;
  readonly records_deleted: number;
  /** Rejected. */
  readonly records_failed: number;
};

export const noCounts: RecordCounts = {
  records_read: 0,
  records_loaded: 0,
  records_updated: 0,
  records_unchanged: 0,
  records_skipped: 0,
  records_collapsed: 0,
  records_deleted: 0,
  records_failed: 0,
};

export type LoadStatus =
  | "success"
  | "partial_success"
  | "failed"
  | "already_processed"
  | "waiting"
  | "blocked"
  | "preview"
  | "rolled_back";

export type TableResult = RecordCounts & {
  readonly status: LoadStatus;
  readonly load_time_seconds: number;
  /** The key of its fragment now, or of the first of several. */
  readonly s3_key: string | null;
  /** Number of texts that the contract reads as null. */
  readonly values_nulled: number;
  /** Number of attempts to change an immutable field, by field. */
  readonly immutable_attempts: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
};

/** The load result, stored beside the archive; the execution returns its counts. */
export type LoadResult = RecordCounts & {
  readonly batch_id: string;
  readonly epoch: number;
  readonly attempt: number;
  readonly status: LoadStatus;
  readonly tables: Readonly<Record<string, TableResult>>;
  readonly total_records: number;
  readonly total_time_seconds: number;
  readonly errors: readonly Fault[];
  readonly duplicate_of: readonly string[];
  readonly report_key: string | null;
};

/** The counts of several tables as one. */
export function sumCounts(counts: readonly RecordCounts[]): RecordCounts {
  const sum: { -readonly [Name in keyof RecordCounts]: number } = { ...noCounts };
  for (const count of counts) {
    for (const name of Object.keys(noCounts) as (keyof RecordCounts)[]) sum[name] += count[name];
  }
  return sum;
}

/** The sum of all fates, which must be equal to `records_read`. */
export function accountedFor(counts: RecordCounts): number {
  const { records_read: _, ...fates } = counts;
  return Object.values(fates).reduce((sum, count) => sum + count, 0);
}

/** The text of a load in notices and the machine's output: ids and counts, never values. */
export function noticeOf(result: LoadResult): string {
  const counts = `${result.records_read} read, ${result.records_loaded} inserted, ${result.records_updated} updated, ${result.records_unchanged} unchanged, ${result.records_skipped} skipped, ${result.records_collapsed} collapsed, ${result.records_failed} rejected`;
  return `Table Loader: batch ${result.batch_id} ${result.status} (${counts})`;
}
