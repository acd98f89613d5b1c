import postgres from "postgres";
import type { LocalPostgres } from "./postgres.ts";

/**
 * Ends every lease: this directory is ours alone, so whoever held one was a process that is gone. The next sweep then
 * goes on with what it left, and does not wait for a lease as long as on AWS.
 */
export async function endLeases({ host, port, user, password, database }: LocalPostgres): Promise<void> {
  const sql = postgres({ host, port, user, password, database, max: 1, onnotice: () => {} });
  try {
    const [ledger] = await sql<{ there: boolean }[]>`select to_regclass('table_loader.leases') is not null as there`;
    if (!ledger?.there) return;
    await sql`update table_loader.batches set lease_until = now() where lease_until > now()`;
    await sql`update table_loader.plans set lease_until = now() where lease_until > now()`;
    await sql`delete from table_loader.leases`;
  } finally {
    await sql.end();
  }
}
