import type postgres from "postgres";
import { quoteConstant, quoteName } from "../core/sql-names.ts";

type LoaderRole = {
  readonly role: string;
  /** Schema of the target tables. */
  readonly schema: string;
};

/**
 * Makes the role that the loader logs in as, and gives it what it needs: rows of targets and control tables, tables of
 * its own in staging, and no DDL on targets. Repeatable. Tables that belong to somebody else are left out: their owner
 * has to grant them. On RDS the role logs in by tokens signed through IAM.
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
      for (const { kind, relation } of await grantable(tx, granted)) {
        const rights = kind === "S" ? "usage, select" : rows;
        await tx.unsafe(`grant ${rights} on ${kind === "S" ? "sequence" : "table"} ${relation} to ${name}`);
      }
      await tx.unsafe(`alter default privileges in schema ${within} grant ${rows} on tables to ${name}`);
      await tx.unsafe(`alter default privileges in schema ${within} grant usage, select on sequences to ${name}`);
    }
  });
}

/** Relations of a schema that this login may grant on: one table of somebody else's must not stop a deployment. */
async function grantable(tx: postgres.TransactionSql, schema: string): Promise<{ kind: string; relation: string }[]> {
  return tx<{ kind: string; relation: string }[]>`
    select c.relkind::text as kind, format('%I.%I', n.nspname, c.relname) as relation
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relkind in ('r', 'p', 'v', 'S') and pg_has_role(c.relowner, 'usage')
  `;
}
