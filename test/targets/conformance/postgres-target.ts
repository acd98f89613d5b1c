import { openSql } from "../../../lib/postgres/connection.ts";
import { openPostgresTarget } from "../../../lib/targets/postgres/postgres-target.ts";
import { openTestDatabase } from "../../support/database.ts";
import { openSharedLedger } from "./driven-ledger.ts";
import type { ColumnKind, TableDescription, TargetHome } from "./target-under-test.ts";

/** PostgreSQL as the conformance suite sees it: the target of lib, tables made by SQL, and rows read by SQL. */

const lacks: TargetHome["lacks"] = {
  "own commits": "its commit is part of the ledger's transaction, and the ledger keeps fence and marker there",
  undo: "a rollback is not built yet",
};

export async function openPostgresHome(): Promise<TargetHome> {
  const database = await openTestDatabase();
  const { host, port, user, password } = database.server;
  const login = { host, port, user, database: database.name, password: () => password, tls: null };
  const sql = openSql({ ...login, connections: 4 });
  await database.sql.unsafe("create extension if not exists citext");
  const tables = new Map<string, TableDescription>();
  return {
    lacks,
    ledger: openSharedLedger(sql),
    open: () => openPostgresTarget({ open: async () => sql, schema: "public" }),
    async createTable(table) {
      await database.sql.unsafe(createSql(table, tables));
      tables.set(table.name, table);
    },
    async rows(table, columns) {
      const texts = columns.map((name) => `(${textOf(tables.get(table), name)})::text`);
      const query = database.sql.unsafe(`select ${texts.join(", ")} from ${quote(table)}`).values();
      return [...(await query)] as (string | null)[][];
    },
    async close() {
      await sql.end({ timeout: 1 });
      await database.close();
    },
  };
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const constant = (text: string): string => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
const listed = (names: readonly string[]): string => names.map(quote).join(", ");

/** An enum has a type of its own, named after table and column. */
function typeOf(kind: ColumnKind, enumName: string): string {
  if (typeof kind === "object") {
    if ("labels" in kind) return enumName;
    return "length" in kind ? `varchar(${kind.length})` : `numeric(${kind.digits},${kind.scale})`;
  }
  return {
    integer: "int",
    bigint: "bigint",
    text: "text",
    caseless: "citext",
    boolean: "bool",
    date: "date",
    instant: "timestamptz",
    json: "jsonb",
  }[kind];
}

function createSql(table: TableDescription, known: ReadonlyMap<string, TableDescription>): string {
  const enumOf = (column: string): string => quote(`${table.name}_${column}`);
  const enums = table.columns.flatMap(({ name, kind }) =>
    typeof kind === "object" && "labels" in kind
      ? [`create type ${enumOf(name)} as enum (${kind.labels.map(constant).join(", ")})`]
      : [],
  );
  const columns = table.columns.map(({ name, kind, notNull, default: value }) => {
    const fallback = value === undefined ? "" : ` default ${constant(String(value))}`;
    return `${quote(name)} ${typeOf(kind, enumOf(name))}${notNull ? " not null" : ""}${fallback}`;
  });
  const parts = [
    ...columns,
    `primary key (${listed(table.key)})`,
    ...(table.otherKeys ?? []).map((key) => `constraint ${quote(key.name)} unique (${listed(key.columns)})`),
    ...(table.positive ?? []).map(({ name, column }) => `constraint ${quote(name)} check (${quote(column)} > 0)`),
    ...(table.references ?? []).map(({ name, columns: own, parent, deferred }) => {
      const key = (parent === table.name ? table : known.get(parent))?.key ?? [];
      const when = deferred ? " deferrable initially deferred" : "";
      return `constraint ${quote(name)} foreign key (${listed(own)}) references ${quote(parent)} (${listed(key)})${when}`;
    }),
  ];
  return [...enums, `create table ${quote(table.name)} (${parts.join(", ")})`].join("; ");
}

/** The column as the suite's text. */
function textOf(table: TableDescription | undefined, name: string): string {
  const kind = table?.columns.find((column) => column.name === name)?.kind;
  if (kind !== "instant")
    return kind === "json" ? `replace(replace(${quote(name)}::text, ': ', ':'), ', ', ',')` : quote(name);
  const seconds = `to_char(${quote(name)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')`;
  return `rtrim(rtrim(${seconds}, '0'), '.') || 'Z'`;
}
