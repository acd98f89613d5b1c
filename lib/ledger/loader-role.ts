import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import type postgres from "postgres";
import { BlockedError } from "../core/errors.ts";
import { quoteConstant, quoteName } from "../postgres/sql-names.ts";

type LoaderRole = {
  readonly role: string;
  /** Schema of the target tables. */
  readonly schema: string;
  /** @default - none; on RDS, the role logs in with tokens signed through IAM */
  readonly password?: string;
};

/**
 * Makes the role that the loader logs in as, and gives it what it needs: rows of targets and control tables, tables of
 * its own in staging, and no DDL on targets. Repeatable. Tables that belong to somebody else are left out: their owner
 * has to grant them.
 *
 * @throws BlockedError DB_LOADER_RIGHTS if the role could do more than that; then nothing is changed
 */
export async function grantLoader(sql: postgres.Sql, loader: LoaderRole): Promise<void> {
  const { role, schema } = loader;
  const name = quoteName(role);
  const rows = "select, insert, update, delete";
  const schemas = [...new Set(["public", "table_loader", schema])];
  await sql.begin(async (tx) => {
    await prepareRole(tx, loader);
    await assertFewRights(tx, role, schemas);
    await tx.unsafe(`grant usage, create on schema table_loader_staging to ${name}`);
    for (const granted of schemas) {
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

/** Makes the role and sets how it logs in. On RDS a member of rds_iam can log in with a token only, not a password. */
async function prepareRole(tx: postgres.TransactionSql, { role, password }: LoaderRole): Promise<void> {
  const name = quoteName(role);
  const iam = password === undefined ? `grant rds_iam to ${name}` : `revoke rds_iam from ${name}`;
  await tx.unsafe(`
    do $$ begin
      if not exists (select from pg_roles where rolname = ${quoteConstant(role)}) then create role ${name} login; end if;
      if exists (select from pg_roles where rolname = 'rds_iam') then ${iam}; end if;
    end $$
  `);
  if (password === undefined) return;
  await tx.unsafe(`alter role ${name} login password ${quoteConstant(scramVerifier(password))}`);
}

type Rights = {
  readonly migrates: boolean;
  readonly privileged: boolean;
  readonly owned: string | null;
  readonly open: string | null;
};

/** Checks a role that existed before: it may be the administrator's, or one that may change the tables it loads. */
async function assertFewRights(tx: postgres.TransactionSql, role: string, schemas: string[]): Promise<void> {
  const [rights] = await tx<Rights[]>`
    select
      r.rolname = current_user as migrates,
      r.rolsuper or r.rolcreaterole or r.rolcreatedb as privileged,
      (
        select min(format('%I.%I', n.nspname, c.relname))
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any(${schemas}::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'S')
          and pg_has_role(r.oid, c.relowner, 'member')
      ) as owned,
      (
        select string_agg(n.nspname, ', ' order by n.nspname)
        from pg_namespace n
        where n.nspname = any(${schemas}::text[]) and has_schema_privilege(r.oid, n.oid, 'create')
      ) as open
    from pg_roles r
    where r.rolname = ${role}
  `;
  const fault = rights && faultOf(rights);
  if (fault) throw new BlockedError("DB_LOADER_RIGHTS", `role ${role}: ${fault}`);
}

function faultOf({ migrates, privileged, owned, open }: Rights): string | null {
  const other = "name a role of the loader's own";
  if (migrates) return `got the role that migrates, expected one for the loader alone; ${other}`;
  if (privileged) return `got a role that may create databases or roles, expected a plain one; ${other}`;
  if (owned !== null) return `got an owner of ${owned}, expected one that owns no table; ${other}`;
  if (open === null) return null;
  return `may create in schema ${open}, expected that it may not; revoke create on it from the role or from public`;
}

/** Relations of a schema that this login may grant rights on: a table of another owner must not stop a deployment. */
async function grantable(tx: postgres.TransactionSql, schema: string): Promise<{ kind: string; relation: string }[]> {
  return tx<{ kind: string; relation: string }[]>`
    select c.relkind::text as kind, format('%I.%I', n.nspname, c.relname) as relation
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relkind in ('r', 'p', 'v', 'S') and pg_has_role(c.relowner, 'usage')
  `;
}

/** PostgreSQL's own default. */
const iterations = 4096;
const saltBytes = 16;
const hashBytes = 32;

/**
 * The text that PostgreSQL stores in place of a password (SCRAM-SHA-256, RFC 5802 and 7677). It is sent instead of the
 * password, so that no log of the server can show that; nobody can log in with the verifier.
 *
 * @throws BlockedError DB_AUTH if clients and servers could normalise the password differently
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(saltBytes)): string {
  if (!/^[\x20-\x7e]+$/.test(password)) {
    const text = "password of the loader's secret: got other characters, expected printable ASCII alone; change it";
    throw new BlockedError("DB_AUTH", text);
  }
  const salted = pbkdf2Sync(password, salt, iterations, hashBytes, "sha256");
  const keyed = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const storedKey = createHash("sha256").update(keyed("Client Key")).digest("base64");
  const serverKey = keyed("Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}
