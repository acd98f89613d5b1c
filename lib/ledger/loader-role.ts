import type postgres from "postgres";
import { quoteConstant, quoteName } from "../core/sql-names.ts";

type LoaderRole = {
  readonly role: string;
  /** Schema of the target tables. */
  readonly schema: string;
};

/**
 * Makes the role that the loader logs in as, and gives it what it needs: rows of targets and control tables, tables of
 * its own in staging, and no DDL on targets. Repeatable. On RDS the role logs in by tokens signed through IAM.
 */
export async function grantLoader(sql: postgres.Sql, { role, schema }: LoaderRole): Promise<void> {
  const name = quoteName(role);
  const rows = "select, insert, update, delete";
  await sql.begin(async (tx) => {
    await tx.unsafe(`
      do $$ begin
        if not exists (select from pg_roles where rolname = ${quoteConstant(role)}) then create role ${name} login; end if;
        if exists (select from pg_roles where rolname = 'rds_iam') then grant rds_iam to ${name}; end if;
      end $$
    `);
    await tx.unsafe(`grant usage, create on schema table_loader_staging to ${name}`);
    for (const granted of new Set(["public", "table_loader", schema])) {
      const within = quoteName(granted);
      await tx.unsafe(`grant usage on schema ${within} to ${name}`);
      await tx.unsafe(`grant ${rows} on all tables in schema ${within} to ${name}`);
      await tx.unsafe(`grant usage, select on all sequences in schema ${within} to ${name}`);
      await tx.unsafe(`alter default privileges in schema ${within} grant ${rows} on tables to ${name}`);
      await tx.unsafe(`alter default privileges in schema ${within} grant usage, select on sequences to ${name}`);
    }
  });
}
