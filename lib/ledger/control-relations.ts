/**
 * What the migrations make, for a function that does not carry them along and has to say what is missing. A test holds
 * the lists against the files.
 */

/** By version, from 1 on: `001.do.control-tables.sql`. */
export const migrationNames = [
  "control-tables",
  "ledger",
  "views",
  "packed-images",
  "healing",
  "line",
  "timeouts",
  "redelivered",
] as const;

/** Tables of people's own queries, which are adopted where they are there: the columns that the loader counts on. */
export const adoptedTables: Readonly<Record<string, readonly string[]>> = {
  validation_queue: [
    "id",
    "batch_id",
    "table_name",
    "total_records",
    "validation_status",
    "approved_for_load",
    "approved_by",
    "approved_at",
    "loaded_at",
    "error_summary",
    "created_at",
    "updated_at",
  ],
  load_audit_log: [
    "id",
    "batch_id",
    "operation",
    "table_name",
    "records_loaded",
    "records_updated",
    "records_skipped",
    "records_failed",
    "load_time_seconds",
    "status",
    "error_message",
    "loaded_by",
    "loaded_at",
  ],
  audit_log: [
    "id",
    "table_name",
    "operation",
    "record_id",
    "old_values",
    "new_values",
    "batch_id",
    "changed_by",
    "changed_at",
  ],
  failed_records: [
    "id",
    "batch_id",
    "table_name",
    "record_data",
    "error_type",
    "error_message",
    "created_at",
    "reprocessed",
  ],
};

const ledgerTables = [
  "batches",
  "batch_wakes",
  "batch_tables",
  "contracts",
  "plans",
  "work_items",
  "rejects",
  "attempts",
  "object_versions",
  "commits",
  "undo_images",
  "outcomes",
  "leases",
  "healings",
  "cursors",
  "line",
];

/** Rows of them are written. */
export const controlTables: readonly string[] = [
  ...Object.keys(adoptedTables).map((name) => `public.${name}`),
  ...ledgerTables.map((name) => `table_loader.${name}`),
];

export const controlViews: readonly string[] = [
  "public.batch_load_log",
  "public.loader_status",
  "public.pending_loads",
  "public.load_history",
  "public.load_performance",
  "table_loader.undo_rows",
];
