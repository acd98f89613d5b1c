import { fileURLToPath } from "node:url";
import Postgrator from "postgrator";
import type postgres from "postgres";
import { classifyDatabaseError } from "../core/classify-error.ts";
import { BlockedError, LoaderError } from "../core/errors.ts";

/** Lock that keeps two deployments from migrating at the same time: any number that no other program uses. */
const migrationLock = 731_120_416;

const folder = fileURLToPath(new URL("./migrations", import.meta.url));

/**
 * Brings the control tables and the ledger up to date, in one transaction. Migrations are expand-only and never
 * edited: postgrator compares the checksums of those that ran before.
 *
 * @returns the names of the migrations that ran
 */
export async function migrate(sql: postgres.Sql): Promise<string[]> {
  return sql.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(${migrationLock})`;
    await tx`create schema if not exists table_loader`;
    const postgrator = new Postgrator({
      driver: "pg",
      migrationPattern: `${folder}/*.sql`,
      schemaTable: "table_loader.migrations",
      validateChecksums: true,
      execQuery: async (query: string) => ({ rows: [...(await tx.unsafe(query))] }),
    });
    const applied = await postgrator.migrate();
    return applied.map((migration) => migration.filename.replace(/^.*\//, ""));
  }) as Promise<string[]>;
}

// Names of what the migrations make, for doctor, whose function has no copy of the files. A test compares them.

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
  "fingerprint-versions",
] as const;

/** Tables that users may have made before, and that are adopted then, with the columns that the loader needs. */
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

/** Tables whose rows the loader writes. */
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

const unreachable = "it cannot be reached; check databaseHost, databasePort and the network of the functions";

/**
 * Runs a deployment's migrations. A deployment is not repeated by itself, and shows only the message of an error: so the
 * message names the database and says to deploy again.
 *
 * @throws BlockedError with the code of the fault
 */
export async function explainingFault<T>(
  place: { readonly host: string; readonly port: number; readonly name: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const fault = error instanceof LoaderError ? error : classifyDatabaseError(error);
    if (fault === null) throw error;
    const { code, text: given } = fault;
    const reason = code === "DB_UNAVAILABLE" ? unreachable : given.replace("; it is tried again", "");
    const text = `database ${place.name} at ${place.host}:${place.port}: ${reason}; then deploy again`;
    throw new BlockedError(code, text, { cause: error });
  }
}
