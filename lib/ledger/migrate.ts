import { fileURLToPath } from "node:url";
import Postgrator from "postgrator";
import type postgres from "postgres";

/** Any number that no other program uses: two deployments must not migrate at the same time. */
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
